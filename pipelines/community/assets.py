"""Assets of the exchange, and the streams their energy is the sum of."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipelines.community.basics import AssetType, Label, Name, Strict, TimeZone
from pipelines.community.checks import CheckSettings
from pipelines.frames import Kind


class Stream(Strict):
    """One channel of one device."""

    source: Name
    device: Name
    register_: Name | None = Field(default=None, alias="register")
    """OBIS code or whatever the source calls the channel."""

    kind: Kind
    unit: Name
    label: Label | None = None
    """Default: instant for registers and power, start for intervals."""

    interval: int | None = Field(default=None, ge=1, le=1440)
    """Minutes a span lasts, where rows tell only its start or end. Default: the slot length."""

    time_zone: TimeZone | None = None
    """Of this stream's naive stamps, where it differs from its source's."""

    sign: Literal[1, -1] = 1
    """-1 turns the value round: for the export half of a two-way meter."""

    two_way: bool = False
    """The value goes below zero when energy flows the other way; only what is positive after `sign` counts."""

    rated_power_kw: float | None = Field(default=None, gt=0)
    """Of this channel, where it differs from its asset's."""

    dials: int | None = Field(default=None, ge=4, le=12)
    """Digits before the decimal point that the register can show, in kWh."""

    @property
    def stream_id(self) -> str:
        """Identity of the channel, stable over renamed assets: source/device/register."""
        return f"{self.source}/{self.device}/{self.register_ or '-'}"

    @property
    def stamp(self) -> Label:
        """The label, with its default."""
        if self.label is not None:
            return self.label
        return Label.START if self.kind is Kind.INTERVAL else Label.INSTANT


class ForecastMethod(StrEnum):
    """How the coming slot's energy is foretold."""

    PERSISTENCE = "persistence"
    """The newest measured slot repeats."""

    YESTERDAY = "yesterday"
    """As in the slot a day before."""

    LAST_WEEK = "last_week"
    """As in the slot a week before."""

    BLEND = "blend"
    """A weighted mean of these three."""

    MODEL = "model"
    """One model for all assets, learned from their history."""

    STANDARD_PROFILE = "standard_profile"
    """The standard load profile: while there are no measurements."""


class Asset(Strict):
    """An asset of the exchange and the streams its energy is the sum of."""

    name: Name
    uuid: Name
    type: AssetType
    rated_power_kw: float = Field(gt=0)
    streams: tuple[Stream, ...] = Field(min_length=1)
    live: bool = True
    """The asset's live switch at the exchange. Where it is off, the exchange follows the uploaded profile and throws
    away what is posted, so nothing is."""

    check_registers: tuple[Stream, ...] = Field(default=(), max_length=4)
    """Registers that the asset's energy must add up to, where it is computed from something else: the sum check and
    substitute values use them."""

    checks: CheckSettings = Field(default_factory=dict)
    """What good data is, where this asset differs from its type."""

    post_estimates: bool = False
    """Send substitute values that are estimated too. By default the exchange gets what was measured, or nothing."""

    forecast: ForecastMethod | None = None
    """Default: what the last backtest found best."""

    load_profile: Annotated[str, StringConstraints(pattern=r"^[a-z][0-9]$")] | None = None
    """Standard load profile of the German BDEW (h0 household, g0 to g6 trade, l0 to l2 farm), from which the coming
    slot is forecast until there are measurements. Needs `annual_kwh`."""

    annual_kwh: float | None = Field(default=None, gt=0)
    """Energy of a year, for the standard load profile."""

    @property
    def asset_id(self) -> str:
        """The exchange's uuid: names aren't unique there."""
        return self.uuid
