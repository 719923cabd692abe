"""What can be wrong with a device's data: each defect is told to the emulators with PUT /sandbox/defects.

The kinds are those that real installations show: counters that restart, roll over or read 0 for a while, gateways that
are offline and deliver later, corrections, single absurd values.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator


class _Defect(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    device: str
    """As the fleet calls it."""

    channel: str | None = None
    """Of the device; without it, all."""


class _Spell(_Defect):
    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _forwards(self) -> "_Spell":
        if self.end <= self.start:
            raise ValueError(f"end {self.end} is not after start {self.start}")
        return self


class Offline(_Spell):
    """The gateway measures but sends nothing until `end`; then everything back to `start` is there at once."""

    what: Literal["offline"]


class Hole(_Spell):
    """Nothing was recorded between `start` and `end`. The meter counts on: its register shows the energy afterwards."""

    what: Literal["hole"]


class Frozen(_Spell):
    """From `start` on the newest value and its stamp don't move; at `end` the register catches up in one jump."""

    what: Literal["frozen"]


class Drop(_Spell):
    """The register reads 0 from `start` until before `end`, then comes back."""

    what: Literal["drop"]


class Revise(_Spell):
    """From the instant `from` on, the interval energies of the span are told times `factor`: a late correction.

    Registers stay: what a meter has counted nobody corrects.
    """

    what: Literal["revise"]
    factor: float = Field(ge=0)
    since: AwareDatetime = Field(alias="from")


class Reset(_Defect):
    """The register starts anew from `to_wh` at the instant `at`: a new meter, or one that lost its memory."""

    what: Literal["reset"]
    at: AwareDatetime
    to_wh: float = Field(default=0, ge=0)


class Rollover(_Defect):
    """The register has too few digits: it shows its state modulo `at_wh`."""

    what: Literal["rollover"]
    at_wh: float = Field(gt=0)


class Spike(_Defect):
    """One absurd sample: the energy of the quarter hour `at`, and the register during it, times `factor`."""

    what: Literal["spike"]
    at: AwareDatetime
    factor: float = Field(gt=0)


class Negative(_Defect):
    """The energy of the quarter hour `at` is `wh`, below 0; the register falls by as much."""

    what: Literal["negative"]
    at: AwareDatetime
    wh: float = Field(lt=0)


Defect = Annotated[
    Offline | Hole | Frozen | Drop | Revise | Reset | Rollover | Spike | Negative, Field(discriminator="what")
]
