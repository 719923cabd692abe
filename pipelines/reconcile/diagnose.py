"""Why a slot differs: from the value, from what was sent, and from the pattern over the asset's other slots."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl

from pipelines.frames import State

TOLERANCE_WH = 0.02
"""Two values this near are the same: the exchange's own FLOATING_POINT_TOLERANCE, 0.00002 kWh."""

RELATIVE_TOLERANCE = 1e-6

SHIFT_SLOTS = 8
"""Shifts of up to this many slots either way are looked for."""

SHIFT_MATCHES = 4
"""Slots that must fit a shift before it is believed; a constant series fits any."""


class Diagnosis(StrEnum):
    """The causes told apart so far."""

    UNKNOWN_ASSET = "unknown at exchange"
    NO_LOCAL_VALUE = "no local value"
    LATE = "late"
    REFUSED = "refused"
    MISSING = "missing"
    UNIT = "unit factor 1000"
    SHIFTED = "shifted"
    DIFFERS = "differs"


REPAIR = {
    Diagnosis.UNKNOWN_ASSET: "Compare the asset's uuid in community.yaml with the exchange's registry",
    Diagnosis.NO_LOCAL_VALUE: "Look at the asset's meter and its quarantined readings; this slot is past mending",
    Diagnosis.LATE: "Nothing: a forecast can't be changed once its slot has begun; see why the run was late",
    Diagnosis.REFUSED: "Read the exchange's reason and correct the asset in community.yaml",
    Diagnosis.MISSING: "Check that the asset's live data is switched on at the exchange; later slots are sent as usual",
    Diagnosis.UNIT: "Check who else writes to this asset, and in which unit",
    Diagnosis.SHIFTED: "Check the label (start, end) and time zone of the asset's streams, and the exchange's clock",
    Diagnosis.DIFFERS: "Check who else writes to this asset",
}
"""What a person can do, per diagnosis."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One asset's slot, both sides of it. Energies in Wh; None where there is no value."""

    slot_start: datetime
    wanted_wh: float | None
    exchange_wh: float | None
    carried_wh: float | None
    carried_from: datetime | None
    state: str | None
    attempts: int
    error: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A diagnosis and what it rests on."""

    diagnosis: Diagnosis
    evidence: str


def same_energy(left: float | None, right: float | None) -> bool:
    """Whether two energies (Wh) are the same within the exchange's own tolerance."""
    if left is None or right is None:
        return False
    return abs(left - right) <= max(TOLERANCE_WH, RELATIVE_TOLERANCE * max(abs(left), abs(right)))


def matches(left: str, right: str) -> pl.Expr:
    """`same_energy` of two columns, as an expression; null is no match."""
    one, other = pl.col(left), pl.col(right)
    allowed = pl.max_horizontal(pl.lit(TOLERANCE_WH), RELATIVE_TOLERANCE * pl.max_horizontal(one.abs(), other.abs()))
    return ((one - other).abs() <= allowed).fill_null(value=False)


def diagnose(slots: list[Slot], *, length: timedelta, unknown: str | None) -> dict[datetime, Finding]:
    """Findings for those slots of one asset that differ.

    Args:
        slots: all slots of the asset in the window, in order, also those that agree: they are the pattern.
        length: slot length.
        unknown: the exchange's words where it doesn't know the asset.
    """
    differing = [slot for slot in slots if not same_energy(slot.wanted_wh, slot.exchange_wh)]
    if unknown is not None:
        return {s.slot_start: Finding(diagnosis=Diagnosis.UNKNOWN_ASSET, evidence=unknown) for s in differing}
    shift = _shift(slots, length) if len(differing) >= SHIFT_MATCHES else None
    return {slot.slot_start: _one(slot, shift, slots, length) for slot in differing}


def _one(slot: Slot, shift: int | None, slots: list[Slot], length: timedelta) -> Finding:
    finding = _from_outbox(slot) or _from_unit(slot)
    if finding is not None:
        return finding
    if shift is not None and _fits(slot, shift, slots, length):
        direction = "later" if shift > 0 else "earlier"
        evidence = f"over {len(slots)} slots the exchange holds the values {abs(shift)} slot(s) {direction}"
        return Finding(diagnosis=Diagnosis.SHIFTED, evidence=evidence)
    if slot.state == State.EXPIRED:
        return Finding(diagnosis=Diagnosis.LATE, evidence=f"{slot.error}; {_held(slot)}")
    if fallback := _fallback(slot, slots, length):
        return Finding(diagnosis=Diagnosis.MISSING, evidence=f"answered as accepted, but not used: {fallback}")
    return Finding(diagnosis=Diagnosis.DIFFERS, evidence=f"sent {slot.wanted_wh:g} Wh; {_held(slot)}")


def _from_outbox(slot: Slot) -> Finding | None:
    """Causes on this side: nothing to send, not sent, refused."""
    if slot.wanted_wh is None:
        return Finding(
            diagnosis=Diagnosis.NO_LOCAL_VALUE, evidence=f"nothing valid was measured in time; {_held(slot)}"
        )
    if slot.state in {State.EXPIRED, State.PENDING, State.SENDING} and not slot.attempts:
        return Finding(diagnosis=Diagnosis.LATE, evidence=f"{slot.error or 'not sent in time'}; {_held(slot)}")
    if slot.state == State.REJECTED:
        return Finding(diagnosis=Diagnosis.REFUSED, evidence=f"{slot.error}; {_held(slot)}")
    return None


def _from_unit(slot: Slot) -> Finding | None:
    """Wh and kWh taken for each other, by the exchange or by somebody else who writes to the asset."""
    if slot.wanted_wh is None or slot.wanted_wh <= TOLERANCE_WH:
        return None
    for factor, words in ((1000.0, "1000 times"), (0.001, "a thousandth of")):
        if same_energy(slot.wanted_wh * factor, slot.exchange_wh):
            evidence = f"the exchange holds {words} what was sent: {slot.exchange_wh:g} Wh"
            return Finding(diagnosis=Diagnosis.UNIT, evidence=evidence)
    return None


def _held(slot: Slot) -> str:
    if slot.exchange_wh is None:
        return "the exchange has no value for the slot"
    repeated = slot.carried_from is not None and slot.carried_from != slot.slot_start
    if repeated and same_energy(slot.carried_wh, slot.exchange_wh):
        return f"the exchange repeats {slot.exchange_wh:g} Wh of slot {slot.carried_from:%Y-%m-%d %H:%M} UTC"
    return f"the exchange holds {slot.exchange_wh:g} Wh"


def _fallback(slot: Slot, slots: list[Slot], length: timedelta) -> str | None:
    """What the exchange puts where nothing arrived, if it is what it holds: the value of the slot before, or 0."""
    if slot.exchange_wh is None:
        return "the exchange has no value for the slot"
    before = next((other for other in slots if other.slot_start == slot.slot_start - length), None)
    if before is not None and same_energy(slot.exchange_wh, before.exchange_wh):
        return f"the exchange repeats the {slot.exchange_wh:g} Wh of the slot before"
    return "the exchange holds 0" if same_energy(slot.exchange_wh, 0.0) else None


def _shift(slots: list[Slot], length: timedelta) -> int | None:
    """By how many slots the exchange's series lags the wanted one (> 0: later); None where no shift explains more."""
    wanted = {slot.slot_start: slot.wanted_wh for slot in slots}

    def score(shift: int) -> int:
        return sum(
            same_energy(wanted.get(slot.slot_start - shift * length), slot.exchange_wh)
            for slot in slots
            if (slot.exchange_wh or 0.0) > TOLERANCE_WH
        )

    in_place = score(0)
    best = max((k for k in range(-SHIFT_SLOTS, SHIFT_SLOTS + 1) if k), key=lambda k: (score(k), -abs(k)))
    return best if score(best) >= max(SHIFT_MATCHES, 2 * in_place + 1) else None


def _fits(slot: Slot, shift: int, slots: list[Slot], length: timedelta) -> bool:
    at = slot.slot_start - shift * length
    return any(other.slot_start == at and same_energy(other.wanted_wh, slot.exchange_wh) for other in slots)
