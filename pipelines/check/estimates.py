"""What substitute values and forecasts lean on: holidays, standard load profiles, check registers."""

from collections.abc import Iterator
from datetime import date

from pipelines.check.draft import AssetDraft, Draft
from pipelines.check.finding import Finding, fault
from pipelines.community import ForecastMethod
from pipelines.convert.forecast.profiles import PROFILES
from pipelines.day_types import public_holidays
from pipelines.frames import Kind

ANY_DAY = date(2026, 1, 1)


def estimate_findings(draft: Draft) -> Iterator[Finding]:
    """What is wrong with them."""
    yield from _holiday_findings(draft)
    for asset in draft.assets:
        yield from _profile_findings(asset)
        yield from _check_register_findings(asset)


def _holiday_findings(draft: Draft) -> Iterator[Finding]:
    if not draft.community.knows("holidays"):
        return
    named = draft.community.value.holidays
    try:
        public_holidays(ANY_DAY, ANY_DAY, named)
    except NotImplementedError:
        country, _, part = (named or "").partition("-")
        what = f"part '{part}' of {country}" if part else f"country '{country}'"
        remedy = "Write a country such as AT, with its part where it has its own, such as DE-BY"
        yield fault(("community", "holidays"), f"no holidays are known of {what}", remedy)


def _profile_findings(asset: AssetDraft) -> Iterator[Finding]:
    if not asset.part.knows("load_profile"):
        return
    value, profile = asset.part.value, asset.part.value.load_profile
    if profile is not None and profile not in PROFILES:
        problem = f"the BDEW has no load profile '{profile}'"
        yield fault((*asset.loc, "load_profile"), problem, f"Write one of {', '.join(PROFILES)}")
    if profile is not None and asset.part.knows("annual_kwh") and value.annual_kwh is None:
        remedy = "Write the energy of a year in kWh, such as 3500"
        yield fault((*asset.loc, "annual_kwh"), "is missing: a load profile tells only the shape", remedy)
    if profile is None and asset.part.knows("forecast") and value.forecast is ForecastMethod.STANDARD_PROFILE:
        remedy = "Add load_profile and annual_kwh, or take the forecast out"
        yield fault((*asset.loc, "forecast"), "the asset has no load_profile", remedy)


def _check_register_findings(asset: AssetDraft) -> Iterator[Finding]:
    of_energy = {stream.channel for stream in asset.streams} - {None}
    for stream in asset.check_registers:
        if stream.part.knows("kind") and stream.part.value.kind is not Kind.REGISTER:
            problem = f"a check register is of kind register, not {stream.part.value.kind.value}"
            yield fault((*stream.loc, "kind"), problem, "Write register, or move it to streams")
        if stream.channel in of_energy:
            problem = "the asset's energy is computed from this channel"
            yield fault(stream.loc, problem, "Name another register: this one can't prove itself")
