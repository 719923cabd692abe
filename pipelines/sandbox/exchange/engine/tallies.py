"""Trades added up, and what a market's statistics and a bill say of them, in the engine's keys."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean, median

DIGITS = 8
"""gsy_framework limit_float_precision."""

CT_PER_EUR = 100.0


@dataclass(slots=True, kw_only=True)
class Tally:
    """Trades of an asset, or of all assets below a market. Energies in kWh, money in ct, without fees."""

    wanted_kwh: float = 0.0
    offered_kwh: float = 0.0
    bought_kwh: float = 0.0
    sold_kwh: float = 0.0
    spent_ct: float = 0.0
    earned_ct: float = 0.0
    fees_ct: float = 0.0
    rates_ct: Counter[float] = field(default_factory=Counter)
    """Rates of the purchases, by how often."""

    def buy(self, energy_kwh: float, rate_ct: float, fee_ct: float) -> None:
        """Add a purchase; the fee is per kWh."""
        if energy_kwh > 0:
            self.bought_kwh += energy_kwh
            self.spent_ct += energy_kwh * rate_ct
            self.fees_ct += energy_kwh * fee_ct
            self.rates_ct[round(rate_ct, DIGITS)] += 1

    def sell(self, energy_kwh: float, rate_ct: float) -> None:
        """Add a sale."""
        self.sold_kwh += energy_kwh
        self.earned_ct += energy_kwh * rate_ct

    def add(self, other: "Tally") -> None:
        """Add all of another's."""
        for name in ("wanted_kwh", "offered_kwh", "bought_kwh", "sold_kwh", "spent_ct", "earned_ct", "fees_ct"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rates_ct.update(other.rates_ct)


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """A slot's trading."""

    slot: datetime
    tallies: Mapping[str, Tally]
    """By uuid, of every asset and market."""


def rate_stats(tally: Tally) -> dict[str, float | None]:
    """A market's statistics as the engine writes them; all of them null where nothing was traded."""
    rates = list(tally.rates_ct.elements())
    told = (min(rates), max(rates), fmean(rates), median(rates), tally.bought_kwh) if rates else (None,) * 5
    names = ("min_trade_rate", "max_trade_rate", "avg_trade_rate", "median_trade_rate", "total_traded_energy_kWh")
    return {name: None if value is None else round(value, DIGITS) for name, value in zip(names, told, strict=True)}


def bill(tally: Tally) -> dict[str, float]:
    """What was bought and sold, in kWh, and for how much, in EUR."""
    return {
        "bought": round(tally.bought_kwh, DIGITS),
        "sold": round(tally.sold_kwh, DIGITS),
        "spent": round(tally.spent_ct / CT_PER_EUR, DIGITS),
        "earned": round(tally.earned_ct / CT_PER_EUR, DIGITS),
    }


def market_bills(tally: Tally) -> dict[str, dict[str, float]]:
    """A market's own trades, and what went over its border."""
    beyond = Tally(
        bought_kwh=max(tally.bought_kwh - tally.sold_kwh, 0.0),
        sold_kwh=max(tally.sold_kwh - tally.bought_kwh, 0.0),
        spent_ct=max(tally.spent_ct - tally.earned_ct, 0.0),
        earned_ct=max(tally.earned_ct - tally.spent_ct, 0.0),
    )
    return {"accumulated_trades": bill(tally), "external_trades": bill(beyond)}


def dso_stats(tally: Tally) -> dict[str, object]:
    """What a grid operator is told of a market's last slot (gsy-e, models/area/stats.py)."""
    inside_kwh = min(tally.bought_kwh, tally.sold_kwh)
    bills = market_bills(tally)
    return {
        **rate_stats(tally),
        "market_bill": {"Accumulated Trades": bills["accumulated_trades"]},
        "market_fee_revenue": round(tally.fees_ct, DIGITS),
        "area_throughput": {"import": bills["external_trades"]["bought"], "export": bills["external_trades"]["sold"]},
        "self_sufficiency": _part(inside_kwh, tally.wanted_kwh),
        "self_consumption": _part(inside_kwh, tally.offered_kwh),
        # Only settlement markets know deviations, and there are none here.
        "market_energy_deviance": None,
    }


def _part(inside_kwh: float, of_kwh: float) -> float | None:
    return round(inside_kwh / of_kwh, DIGITS) if of_kwh > 0 else None
