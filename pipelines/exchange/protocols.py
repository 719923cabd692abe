"""The dialects in which the exchange takes energy, and what each can carry.

- `rest`: `set_energy_forecast/` with `{"energy_Wh": x}`, what the CTN documents for any language. No slot time:
  a value takes effect in the slot after the one in which it arrives.
- `sdk`: `set-energy-forecast/` and `set-energy-measurement/` with kWh keyed by slot, what GSy's Python SDK
  1.3 sends. Slots are written `YYYY-MM-DDTHH:mm` in UTC; the exchange refuses offsets.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol as TypingProtocol

from pipelines.frames import Quantity
from pipelines.slots import Abilities

KWH_DIGITS = 9
"""Decimals of kWh on the wire: a microwatt-hour, finer than the 8 to which the exchange rounds its results."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One post: a path below the base URL, and the body to the byte."""

    path: str
    body: bytes


class Protocol(TypingProtocol):
    """A dialect."""

    abilities: Abilities

    def request(
        self,
        *,
        simulation: str,
        asset: str,
        quantity: Quantity,
        energy_wh: Mapping[datetime, float],
        transaction_id: str,
    ) -> Request:
        """The post that carries `energy_wh` (slot start -> Wh, >= 0) for one asset."""
        ...


class Rest:
    """The scalar dialect."""

    abilities = Abilities(carries_slot_time=False, measurements=False)

    def request(
        self,
        *,
        simulation: str,
        asset: str,
        quantity: Quantity,
        energy_wh: Mapping[datetime, float],
        transaction_id: str,
    ) -> Request:
        """One scalar in Wh.

        Raises:
            ValueError: more than one slot, a measurement, or no finite value >= 0.
        """
        if quantity is not Quantity.FORECAST or len(energy_wh) != 1:
            raise ValueError("protocol rest carries one forecast at a time and no slot times")
        (value,) = energy_wh.values()
        body = {"energy_Wh": round(_sound(value), KWH_DIGITS - 3), "transaction_id": transaction_id}
        return Request(path=f"/external-connection/api/{simulation}/{asset}/set_energy_forecast/", body=_encode(body))


class Sdk:
    """The slot-keyed dialect."""

    abilities = Abilities(carries_slot_time=True, measurements=True)

    def request(
        self,
        *,
        simulation: str,
        asset: str,
        quantity: Quantity,
        energy_wh: Mapping[datetime, float],
        transaction_id: str,
    ) -> Request:
        """Any number of slots in kWh.

        Raises:
            ValueError: a value that isn't finite and >= 0.
        """
        keyed = {
            slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%M"): round(_sound(value) / 1000, KWH_DIGITS)
            for slot, value in sorted(energy_wh.items())
        }
        body = {f"energy_{quantity.value}": keyed, "transaction_id": transaction_id}
        path = f"/external-connection/api/{simulation}/{asset}/set-energy-{quantity.value}/"
        return Request(path=path, body=_encode(body))


PROTOCOLS: Mapping[str, Protocol] = {"rest": Rest(), "sdk": Sdk()}


def _sound(energy_wh: float) -> float:
    # The exchange's own check lets NaN pass (NaN < 0 is false), so nothing unsound may leave here.
    if not math.isfinite(energy_wh) or energy_wh < 0:
        raise ValueError(f"energy must be finite and not negative, not {energy_wh} Wh")
    return energy_wh


def _encode(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
