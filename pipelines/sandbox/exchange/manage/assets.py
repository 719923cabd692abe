"""Assets under /manage/: live switch, uploaded profile, and who posted what."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import select

from pipelines.sandbox.controls import LATEST
from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.manage.forms import Form
from pipelines.sandbox.exchange.manage.people import VisitorOf
from pipelines.sandbox.exchange.tables import PROFILE, REPEATED
from pipelines.sandbox.exchange.wire.admission import known_asset
from pipelines.sandbox.profile_reader import Unit

LONGEST_PROFILE = 1_000_000
"""Characters: a year of quarter hours with full stamps; ours."""

LONGEST_READ = timedelta(days=31)
"""Span of one answer; ours."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

Instant = Annotated[AwareDatetime | None, Query()]


class AssetState(BaseModel):
    """An asset and what can change of it."""

    uuid: str
    name: str
    type: str
    market: str
    live: bool
    registered: bool
    aggregator: str | None


class Switch(Form):
    """The live switch."""

    live: bool


class Profile(Form):
    """An uploaded profile."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST_PROFILE)]
    """CSV of stamp and value, or a dict, as GSy's upload takes it."""

    unit: Unit


class KeptProfile(BaseModel):
    """The profile uploaded last."""

    text: str
    unit: Unit
    username: str
    uploaded_at: datetime
    from_slot: datetime
    """The first slot it can drive."""


class PostedEnergy(BaseModel):
    """An energy that counted."""

    quantity: Literal["forecast", "measurement", "repeated"]
    """`repeated`: posted without slot time; drives every slot from `slot_start` on until the next."""

    slot_start: datetime
    energy_kwh: float
    username: str
    posted_at: datetime


def add(routes: APIRouter, ctn: Ctn, visitor_of: VisitorOf) -> None:
    """Add the paths."""
    _add_switch(routes, ctn, visitor_of)
    _add_profile(routes, ctn, visitor_of)

    @routes.get("/assets/{asset}/results")
    async def results(
        asset: str,
        visitor: Annotated[Visitor, Depends(visitor_of)],
        start: Instant = None,
        end: Instant = None,
    ) -> list[PostedEnergy]:
        """What was posted and counted for the slots in [start, end): by default a day back and a day ahead."""
        known_asset(ctn, asset)
        if not visitor.may_see(asset):
            ctn.audit.forbid(visitor, "read-results", asset)
        now = ctn.clock.now()
        since, until = start or now - timedelta(days=1), end or now + timedelta(days=1)
        if not EARLIEST <= since <= until <= LATEST or until - since > LONGEST_READ:
            raise HTTPException(400, f"start must not be after end, and {LONGEST_READ.days} days are read at most.")
        return _posted(ctn, asset, since, until)


def _add_switch(routes: APIRouter, ctn: Ctn, visitor_of: VisitorOf) -> None:
    @routes.get("/assets")
    async def assets(visitor: Annotated[Visitor, Depends(visitor_of)]) -> list[AssetState]:
        """The assets one may see."""
        return [_state(ctn, uuid) for uuid in ctn.twin.assets if visitor.may_see(uuid)]

    @routes.put("/assets/{asset}/live")
    async def switch(asset: str, turn: Switch, visitor: Annotated[Visitor, Depends(visitor_of)]) -> AssetState:
        """Turn the live switch; it counts from the next slot on. For who manages."""
        known = known_asset(ctn, asset)
        if not visitor.manages:
            ctn.audit.forbid(visitor, "switch-live", asset)
        ctn.market.switch(asset, live=turn.live)
        ctn.twin.keep(ctn.ledger, known)
        ctn.audit.note(visitor.username, "switch-live", asset, "on" if turn.live else "off")
        return _state(ctn, asset)


def _add_profile(routes: APIRouter, ctn: Ctn, visitor_of: VisitorOf) -> None:
    @routes.put("/assets/{asset}/profile", status_code=204)
    async def upload(asset: str, profile: Profile, visitor: Annotated[Visitor, Depends(visitor_of)]) -> None:
        """Upload the profile that drives the asset while its live switch is off, from the next slot on.

        For who manages.
        """
        known_asset(ctn, asset)
        if not visitor.manages:
            ctn.audit.forbid(visitor, "upload-profile", asset)
        try:
            ctn.market.upload(asset, profile.text, profile.unit, by=visitor.username, at=ctn.clock.now())
        except ValueError as error:
            raise HTTPException(400, ascii(str(error))[1:-1]) from error
        ctn.audit.note(visitor.username, "upload-profile", asset, "done")

    @routes.get("/assets/{asset}/profile")
    async def read(asset: str, visitor: Annotated[Visitor, Depends(visitor_of)]) -> KeptProfile:
        """The profile uploaded last."""
        known_asset(ctn, asset)
        if not visitor.may_see(asset):
            ctn.audit.forbid(visitor, "read-profile", asset)
        newest = select(PROFILE).where(PROFILE.c.asset == asset).order_by(PROFILE.c.from_slot_s.desc()).limit(1)
        with ctn.ledger.reading() as connection:
            row = connection.execute(newest).one_or_none()
        if row is None:
            raise HTTPException(404, "No profile was uploaded for this asset.")
        return KeptProfile(
            text=row.text,
            unit=Unit(row.unit),
            username=row.username,
            uploaded_at=_instant(row.uploaded_s),
            from_slot=_instant(row.from_slot_s),
        )


def _posted(ctn: Ctn, asset: str, since: datetime, until: datetime) -> list[PostedEnergy]:
    found: list[PostedEnergy] = []
    quantities: tuple[Literal["forecast", "measurement"], ...] = ("forecast", "measurement")
    for quantity in quantities:
        for slot, posted in ctn.market.posted(asset, since, until, quantity=quantity).items():
            energy_kwh, by, at = posted
            found.append(
                PostedEnergy(quantity=quantity, slot_start=slot, energy_kwh=energy_kwh, username=by, posted_at=at)
            )
    row = REPEATED.c
    driving = select(REPEATED).where(
        row.asset == asset, row.from_slot_s >= since.timestamp(), row.from_slot_s < until.timestamp()
    )
    with ctn.ledger.reading() as connection:
        found += [
            PostedEnergy(
                quantity="repeated",
                slot_start=_instant(each.from_slot_s),
                energy_kwh=each.energy_kwh,
                username=each.username,
                posted_at=_instant(each.posted_s),
            )
            for each in connection.execute(driving)
        ]
    return sorted(found, key=lambda each: (each.slot_start, each.quantity))


def _state(ctn: Ctn, uuid: str) -> AssetState:
    return AssetState.model_validate(ctn.twin.assets[uuid], from_attributes=True)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
