"""What every section of the community file is made of: units, kinds, and the forms of names, times and zones."""

from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

ENERGY_WH = {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6}
"""Energy units of registers and intervals, in Wh."""

POWER_W = {"W": 1.0, "kW": 1e3, "MW": 1e6}
"""Power units, in W."""


class AssetType(StrEnum):
    """What an asset is. The exchange takes live data for loads and PV only (see `sent_as`)."""

    LOAD = "load"
    PV = "pv"
    HEAT_PUMP = "heat_pump"
    EV_CHARGER = "ev_charger"
    BATTERY = "battery"
    SMART_METER = "smart_meter"

    @property
    def sent_as(self) -> "AssetType | None":
        """The exchange's type that can carry this asset's live data; None where none can by itself."""
        return {
            AssetType.LOAD: AssetType.LOAD,
            AssetType.PV: AssetType.PV,
            AssetType.HEAT_PUMP: AssetType.LOAD,
            AssetType.EV_CHARGER: AssetType.LOAD,
        }.get(self)


class Label(StrEnum):
    """Which instant a time stamp tells."""

    INSTANT = "instant"
    """The value at the stamp: registers, sampled power."""

    START = "start"
    """The value of the span that begins at the stamp."""

    END = "end"
    """The value of the span that ends at the stamp."""


class TimeType(StrEnum):
    """How a meter database writes an instant."""

    TIMESTAMPTZ = "timestamptz"
    NAIVE = "naive"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"'{name}' is no IANA time zone; write one like Europe/Vienna") from error
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Of letters, digits and underscores, because the name of its password is made from it."""

VendorName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", to_lower=True)]
"""A host's name or address alone, without scheme, port or brackets."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")]
"""A table's or column's name, with its schema where it has one."""


class Strict(BaseModel):
    """A section of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)
