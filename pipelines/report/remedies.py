"""What a person can do about each check that is broken, and the command to begin with."""

from collections.abc import Mapping
from dataclasses import dataclass

from expectations.names import Check


@dataclass(frozen=True)
class Remedy:
    """What to do, in one or two sentences."""

    words: str
    command: str = ""
    """To type; `{asset}` stands for the asset's name, quoted. Empty where there is none."""


LOOK = "slotfeed findings --asset {asset}"
QUARANTINE = "slotfeed quarantine list"
LIMITS = "slotfeed checks --asset {asset}"

ENTRY = Remedy("Compare the stream's entry in community.yaml with the meter, then release or discard.", QUARANTINE)
VALUE = Remedy("Wait for the source's correction, or look at the meter and release or discard the reading.", QUARANTINE)
STAMP = Remedy(
    "Check the clock and the time zone of the meter and of its entry in community.yaml; then release or discard.",
    QUARANTINE,
)
UNUSUAL = Remedy(
    "Ask the people of the asset whether that is true: an empty flat, a new device. If it is, set another threshold.",
    LIMITS,
)
WRITER = Remedy("Find out who else writes to this asset at the exchange: a profile, or somebody's script.", LOOK)
DEFECT = Remedy("This is an error of slotfeed, not of the meters: report it with what this command shows.", LOOK)

REMEDIES: Mapping[Check, Remedy] = {
    Check.KEY_NOT_NULL: Remedy("Look at how the source writes its time stamps; then discard the readings.", QUARANTINE),
    Check.KEY_UNIQUE: VALUE,
    Check.KIND_KNOWN: ENTRY,
    Check.KIND_CONFIGURED: ENTRY,
    Check.UNIT_KNOWN: ENTRY,
    Check.VALUE_PRESENT: VALUE,
    Check.VALUE_FINITE: VALUE,
    Check.QUALITY_USABLE: VALUE,
    Check.SPAN_ORDERED: STAMP,
    Check.SPAN_LENGTH: Remedy(
        "Compare the stream's interval in community.yaml with what the meter sends now.", "slotfeed check"
    ),
    Check.NOT_FROM_FUTURE: STAMP,
    Check.NOT_AGES_OLD: STAMP,
    Check.NOT_NEGATIVE: Remedy(
        "If the meter counts both directions, mark its stream two_way in community.yaml and release the readings; "
        "else discard them.",
        QUARANTINE,
    ),
    Check.REGISTER_NOT_FALLING: Remedy(
        "If the meter was exchanged, release the readings; else wait: its next readings decide.", QUARANTINE
    ),
    Check.REGISTER_WITHIN_DIALS: ENTRY,
    Check.WITHIN_RATED_POWER: Remedy(
        "Check the unit and the rated power in community.yaml; a true peak may be released.", QUARANTINE
    ),
    Check.RANK_NOT_LOWER: Remedy("Nothing: the better value stands. The worse one is kept for the record.", LOOK),
    Check.SLOT_SOUND: DEFECT,
    Check.SLOT_COVERED: Remedy("Check the meter and its connection; then fetch what is missing.", LOOK),
    Check.SLOTS_IN_DAY: Remedy("Fetch the day again with slotfeed backfill.", LOOK),
    Check.SIBLINGS_PRESENT: Remedy(
        "Look at the meter's channels: one is silent. Import without export is half a truth.", LOOK
    ),
    Check.REGISTER_SUM: Remedy(
        "Compare the streams with the check register: a channel is missing, counted twice or in another unit.", LOOK
    ),
    Check.DAY_SPIKE: UNUSUAL,
    Check.DAY_USAGE: UNUSUAL,
    Check.SLOT_DEMAND: Remedy("Check the rated power and the unit in community.yaml.", LIMITS),
    Check.DEMAND_JUMP: UNUSUAL,
    Check.ZERO_RUN: Remedy(
        "Look whether the asset is switched off, a PV plant's inverter has failed, or the meter has.", LOOK
    ),
    Check.STALE_RUN: Remedy("Look at the meter or its gateway: it may repeat its last value.", LOOK),
    Check.USUAL_RANGE: UNUSUAL,
    Check.ESTIMATED_RUN: Remedy(
        "Somebody has to look at the meter: estimates have stood in for it for too long.", LOOK
    ),
    Check.EXCHANGE_PRESENT: Remedy(
        "Check that the asset's live data is switched on at the exchange.", "slotfeed check --connect"
    ),
    Check.EXCHANGE_EQUAL: WRITER,
    Check.EXCHANGE_UNASKED: WRITER,
    Check.EXCHANGE_SOUND: Remedy("Tell the people who run the exchange.", LOOK),
    Check.EXCHANGE_DEMAND: Remedy("Find out who else writes to this asset, and in which unit.", LOOK),
    Check.READ_BACK_FRESH: Remedy("Read the exchange's results back.", "slotfeed reconcile"),
    Check.DIFFERENCE_EXPLAINED: Remedy("Let the causes be told apart.", "slotfeed reconcile"),
}

ANY = Remedy("See which rows broke it.", LOOK)


def remedy_of(check: str) -> Remedy:
    """What to do about a check; a general one for checks that this version doesn't know."""
    return REMEDIES[Check(check)] if check in REMEDIES else ANY
