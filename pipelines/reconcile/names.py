"""The causes that are told apart, and what a person can do about each."""

from dataclasses import dataclass
from enum import StrEnum


class Diagnosis(StrEnum):
    """Why a slot differs. `docs/reconciliation.md` tells how each is known."""

    UNKNOWN_ASSET = "unknown at exchange"
    NO_LOCAL_VALUE = "no local value"
    LATE = "late"
    REFUSED = "refused"
    MISSING = "missing"
    REPEATED = "repeated value"
    NO_RESULT = "no exchange result"
    DUPLICATED = "duplicated"
    UNIT = "unit factor 1000"
    UNIT_HOUR = "unit factor of the hour"
    SIGN = "sign"
    ROUNDED = "rounding"
    SHIFTED = "shifted"
    SHIFTED_HOUR = "shifted by an hour"
    SHIFTED_ZONE = "shifted by the zone's offset"
    SHIFTED_CLOCK = "shifted since the clock change"
    SWAPPED = "swapped"
    ANOTHERS = "another asset's values"
    SWITCHED_OFF = "live switch off"
    LATE_CYCLE = "engine's market cycle late"
    DIFFERS = "differs"


_ELSEWHERE = "find who else writes to asset {asset} at the exchange"
_STREAMS = "In community.yaml look at asset {asset}, its streams'"

REPAIR = {
    Diagnosis.UNKNOWN_ASSET: (
        "The exchange has no asset with the `uuid` that community.yaml gives asset {asset}: "
        "run `slotfeed assets sync`, or write the uuid of the exchange's registry there"
    ),
    Diagnosis.NO_LOCAL_VALUE: (
        "Look at the meter of asset {asset} and at `slotfeed quarantine list`; in community.yaml at the `source`, "
        "`device` and `register` of its streams. The slot itself is past mending"
    ),
    Diagnosis.LATE: (
        "See why no run came in time (`slotfeed status`, `slotfeed doctor`); the slot itself is past mending, a "
        "forecast isn't taken once it has begun"
    ),
    Diagnosis.REFUSED: (
        "Read the exchange's reason. In community.yaml correct the `uuid` and `type` of asset {asset}; or on the "
        "exchange's page approve its live connection for the user that slotfeed logs in with"
    ),
    Diagnosis.MISSING: (
        "On the exchange's page see that the live data switch of asset {asset} is on; later slots are sent as usual"
    ),
    Diagnosis.REPEATED: (
        "On the exchange's page see why posts for asset {asset} no longer arrive: its live data switch first, then "
        "whether the simulation runs"
    ),
    Diagnosis.NO_RESULT: (
        "On the exchange's page see whether its simulation stands still, and have it started; the slots are compared "
        "again by themselves, and measurements that were lost with them are sent again"
    ),
    Diagnosis.DUPLICATED: f"See that one feeder alone sends for asset {{asset}}: stop a second one, or {_ELSEWHERE}",
    Diagnosis.UNIT: f"{_STREAMS} `unit` and its source's `scale`; if they are right, {_ELSEWHERE}, and in which unit",
    Diagnosis.UNIT_HOUR: (
        f"{_STREAMS} `kind` (power or interval) and `unit`, and the unit a profile was uploaded in (W or kWh); "
        f"if they are right, {_ELSEWHERE}"
    ),
    Diagnosis.SIGN: f"{_STREAMS} `sign` and its `type`; if they are right, {_ELSEWHERE}",
    Diagnosis.ROUNDED: "Find what rounds on the way to asset {asset}: slotfeed sends full precision",
    Diagnosis.SHIFTED: f"{_STREAMS} `label` (start, end) and `interval`; if they are right, {_ELSEWHERE}",
    Diagnosis.SHIFTED_HOUR: f"{_STREAMS} `time_zone` (summer time) and `label`; if they are right, {_ELSEWHERE}",
    Diagnosis.SHIFTED_ZONE: (
        f"{_STREAMS} and their source's `time_zone`: local time was taken for UTC, or UTC for local time; "
        f"if they are right, {_ELSEWHERE}"
    ),
    Diagnosis.SHIFTED_CLOCK: (
        f"{_STREAMS} and their source's `time_zone`: name a zone that knows summer time (Europe/Berlin, not +01:00); "
        f"if it does, {_ELSEWHERE}"
    ),
    Diagnosis.SWAPPED: "In community.yaml exchange the uuids of {asset} and {other}, or their streams' `device`",
    Diagnosis.ANOTHERS: (
        "See in community.yaml and at the exchange whether the uuid of {asset} stands where that of {other} should"
    ),
    Diagnosis.SWITCHED_OFF: (
        "On the exchange's page switch on the live data of asset {asset}, or write `live: false` for it in "
        "community.yaml"
    ),
    Diagnosis.LATE_CYCLE: (
        "Nothing to mend here; where it happens often, run `slotfeed listen` so that deadlines follow the engine"
    ),
    Diagnosis.DIFFERS: "Find who else writes to asset {asset} at the exchange",
}
"""What a person can do; {asset} and {other} are names."""


OF_NO_ASSET = frozenset({Diagnosis.LATE, Diagnosis.NO_RESULT, Diagnosis.LATE_CYCLE})
"""Causes that lie with no asset: told once for all of them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A diagnosis of one slot and what it rests on."""

    diagnosis: Diagnosis
    evidence: str
    """In words, with the confidence at its end."""

    confidence: float
    """0..1."""

    repair: str


def in_words(confidence: float) -> str:
    """A confidence (0..1) as a reader says it, with its number. The bounds are ours."""
    word = "certain" if confidence >= 0.95 else "likely" if confidence >= 0.7 else "possible"
    return f"{word}, {confidence:.2f}"


def repair_of(diagnosis: Diagnosis, *, asset: str, other: str = "") -> str:
    """What to do, for assets by name."""
    return REPAIR[diagnosis].replace("{asset}", f"'{asset}'").replace("{other}", f"'{other}'")


def refused_words(asset: str, *, often: bool) -> str:
    """What to do about values that the exchange refuses to take for an asset.

    Args:
        asset: by name.
        often: they were sent again so often that they are left alone now.
    """
    then = (
        "then run `slotfeed reconcile --repair --again`"
        if often
        else "then they are sent again as soon as the exchange takes one of the asset"
    )
    return f"{repair_of(Diagnosis.REFUSED, asset=asset)}; {then}"
