"""The numbers that checks compare with: their unit, their defaults by asset type, and whose defaults these are.

The community file may change them for all assets, for one type or for one asset, in that order; see `resolve`.
Checks that aren't here have no number, and can't be changed: no energy can be computed from a row that breaks them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from expectations.limits import WHOLE
from expectations.names import CHECKS, Check, Severity


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The lowest and highest value that is good, both included; None: no bound."""

    low: float | None = None
    high: float | None = None


NO_BOUNDS = Bounds()
"""The check looks at nothing: what it is about is normal for such an asset."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """What a check's numbers are."""

    quantity: str
    """What is compared, in words, with its unit: fits behind 'is'."""

    default: Bounds
    by_type: Mapping[str, Bounds] = field(default_factory=dict)
    """Asset type -> its own default."""

    origin: str
    """Where the defaults come from. "ours" where the project chose them; "recalled" where the industry's documents
    are remembered to say so but could not be read."""

    lowest: float = 0.0
    """No bound makes sense below it."""


THRESHOLDS: Mapping[Check, Threshold] = {
    Check.NOT_FROM_FUTURE: Threshold(
        quantity="time ahead of the run's clock, s",
        default=Bounds(high=180.0),
        origin="recalled: California's ±3 minutes of an hourly meter",
    ),
    Check.NOT_AGES_OLD: Threshold(
        quantity="age, days", default=Bounds(high=3650.0), origin="ours: no community's meters are older"
    ),
    Check.WITHIN_RATED_POWER: Threshold(
        quantity="power as a multiple of the rated power",
        default=Bounds(high=1.2),
        origin="ours: inverters and fuses bear short overloads",
    ),
    Check.SLOT_COVERED: Threshold(
        quantity="share of the slot that readings back",
        default=Bounds(low=WHOLE),
        origin="ours: a second's difference between clocks is no gap",
    ),
    Check.REGISTER_SUM: Threshold(
        quantity="difference of the day's sum from the register, as a share of it",
        default=Bounds(high=0.02),
        origin="ours: the industry allows one or two multiples of the meter's constant (recalled)",
    ),
    Check.DAY_SPIKE: Threshold(
        quantity="(highest - third-highest) / third-highest slot of the day",
        default=Bounds(high=1.8),
        by_type={"ev_charger": NO_BOUNDS, "heat_pump": NO_BOUNDS},
        origin="recalled: the 180 % of the US rule, broken by 0.13 % of the days of SimBench's loads; "
        "off for assets that switch (ours)",
    ),
    Check.DAY_USAGE: Threshold(
        quantity="day's energy as a multiple of that of like days",
        default=Bounds(low=0.4, high=2.0),
        by_type={"pv": NO_BOUNDS, "ev_charger": NO_BOUNDS, "heat_pump": Bounds(high=6.0)},
        origin="recalled: below 40 %, above 200 %, broken by 1 % of the days of SimBench's loads; "
        "off where weather or a driver decides, and wide for heat pumps (ours)",
    ),
    Check.SLOT_DEMAND: Threshold(
        quantity="mean power as a multiple of the rated power",
        default=Bounds(high=1.2),
        origin="ours: as for single readings",
    ),
    Check.DEMAND_JUMP: Threshold(
        quantity="change of mean power from the slot before, as a multiple of the rated power",
        default=Bounds(high=0.8),
        by_type={"ev_charger": NO_BOUNDS, "heat_pump": NO_BOUNDS},
        origin="ours: SimBench's loads change by 0.69 at most; off for assets that switch",
    ),
    Check.ZERO_RUN: Threshold(
        quantity="time at zero, h (for PV with the sun 10° high)",
        default=Bounds(high=24.0),
        by_type={"pv": Bounds(high=10.0), "heat_pump": Bounds(high=240.0), "ev_charger": Bounds(high=336.0)},
        origin="ours: in a year of SimBench, heat pumps are at zero for 95 h on end, EV chargers for 246, "
        "PV for more than 10 in 0.1 % of its slots",
    ),
    Check.STALE_RUN: Threshold(
        quantity="slots in a row with the same energy above zero",
        default=Bounds(high=7.0),
        by_type={"heat_pump": Bounds(high=24.0), "ev_charger": Bounds(high=64.0)},
        origin="ours: flagged from the eighth on; SimBench's heat pumps run evenly for 19, "
        "and an EV may charge for 16 hours",
        lowest=1.0,
    ),
    Check.USUAL_RANGE: Threshold(
        quantity="distance from the mean of like slots, in standard deviations",
        default=Bounds(high=10.0),
        by_type={"pv": NO_BOUNDS, "ev_charger": NO_BOUNDS, "heat_pump": NO_BOUNDS},
        origin="ours: broken by 0.13 % of the slots of SimBench's loads; off where weather or a driver decides",
    ),
    Check.ESTIMATED_RUN: Threshold(
        quantity="time with substitute values without a break, days", default=Bounds(high=3.0), origin="ours"
    ),
    Check.EXCHANGE_EQUAL: Threshold(
        quantity="difference from our value, Wh",
        default=Bounds(high=0.02),
        origin="the exchange's own FLOATING_POINT_TOLERANCE of 0.00002 kWh",
    ),
    Check.EXCHANGE_DEMAND: Threshold(
        quantity="mean power as a multiple of the rated power",
        default=Bounds(high=1.2),
        origin="ours: as for single readings",
    ),
    Check.READ_BACK_FRESH: Threshold(
        quantity="time from the slot's end until it was read back, h",
        default=Bounds(high=6.0),
        origin="ours: the reconcile flow runs every hour",
    ),
}
"""The checks whose numbers can be set."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What one asset's check compares with, and what follows."""

    bounds: Bounds
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the community file says of a check; what it leaves out stays."""

    on: bool = True
    low: float | None = None
    high: float | None = None
    severity: Severity | None = None


def resolve(asset_type: str, settings: Iterable[Mapping[Check, Setting]]) -> dict[Check, Limit]:
    """The limits of an asset's checks: the defaults of its type, changed by each of the settings in turn.

    Args:
        asset_type: as the community file names it.
        settings: of the community, of the type and of the asset.

    Returns:
        A limit for every check of `THRESHOLDS`; one that is switched off has no bounds.
    """
    limits = {
        check: Limit(bounds=threshold.by_type.get(asset_type, threshold.default), severity=CHECKS[check].severity)
        for check, threshold in THRESHOLDS.items()
    }
    for changes in settings:
        for check, setting in changes.items():
            limits[check] = _changed(limits[check], setting)
    return limits


def _changed(limit: Limit, setting: Setting) -> Limit:
    bounds = limit.bounds if setting.on else NO_BOUNDS
    if setting.low is not None:
        bounds = replace(bounds, low=setting.low)
    if setting.high is not None:
        bounds = replace(bounds, high=setting.high)
    return Limit(bounds=bounds, severity=setting.severity or limit.severity)
