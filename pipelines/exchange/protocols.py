"""The dialects in which the exchange takes energy, and what each can carry.

- `rest`: `set_energy_forecast/` with `{"energy_Wh": x}`, what the CTN documents for any language. No slot time:
  a value takes effect in the slot after the one in which it arrives.
- `sdk`: `set-energy-forecast/` and `set-energy-measurement/` with kWh keyed by slot, what GSy's Python SDK
  1.3 sends. Slots are written `YYYY-MM-DDTHH:mm` in UTC; the exchange refuses offsets.
- `batch`: the same values for many assets in one request of an aggregator; see `batch`.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pipelines.exchange.batch import Batch
from pipelines.exchange.wire import (
    KWH_DIGITS,
    Command,
    Envelope,
    Fate,
    Protocol,
    Request,
    Verdict,
    encode,
    kwh_by_slot,
    sound,
)
from pipelines.frames import Quantity
from pipelines.slots import Abilities

__all__ = ["PROTOCOLS", "Batch", "Command", "Envelope", "Protocol", "Request", "Rest", "Sdk"]


class _OneAsset:
    """A dialect with a path for each asset: a post that succeeds is the answer."""

    awaited = ""

    def tells_all(self, _reply: object, /) -> bool:
        """Nothing else comes."""
        return True

    def verdicts(self, commands: Sequence[Command], _answer: object, /) -> list[Verdict]:
        """Queued, all of them: refusals come as errors of the post."""
        return [Verdict(fate=Fate.READY) for _ in commands]


class Rest(_OneAsset):
    """The scalar dialect."""

    abilities = Abilities(carries_slot_time=False, measurements=False)

    def request(self, envelope: Envelope, commands: Sequence[Command]) -> Request:
        """One scalar in Wh.

        Raises:
            ValueError: more than one slot, a measurement, or no finite value >= 0.
        """
        (command,) = commands
        if command.quantity is not Quantity.FORECAST or len(command.energy_wh) != 1:
            raise ValueError("protocol rest carries one forecast at a time and no slot times")
        (value,) = command.energy_wh.values()
        body = {"energy_Wh": round(sound(value), KWH_DIGITS - 3), "transaction_id": envelope.transaction_id}
        path = f"{_asset_path(envelope, command)}/set_energy_forecast/"
        return Request(path=path, body=encode(body))


class Sdk(_OneAsset):
    """The slot-keyed dialect."""

    abilities = Abilities(carries_slot_time=True, measurements=True)

    def request(self, envelope: Envelope, commands: Sequence[Command]) -> Request:
        """Any number of slots in kWh.

        Raises:
            ValueError: more than one asset, or a value that isn't finite and >= 0.
        """
        (command,) = commands
        name = command.quantity.value
        body = {f"energy_{name}": kwh_by_slot(command.energy_wh), "transaction_id": envelope.transaction_id}
        path = f"{_asset_path(envelope, command)}/set-energy-{name}/"
        return Request(path=path, body=encode(body))


def _asset_path(envelope: Envelope, command: Command) -> str:
    # An id with a slash or dots in it would lead elsewhere.
    return f"/external-connection/api/{quote(envelope.simulation, safe='')}/{quote(command.asset, safe='')}"


PROTOCOLS: Mapping[str, Protocol] = {"rest": Rest(), "sdk": Sdk(), "batch": Batch()}
