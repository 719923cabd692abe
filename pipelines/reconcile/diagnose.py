"""Why slots differ: from what was sent, and from the pattern over all slots and assets of the evidence.

What this side knows by itself comes first. Then hypotheses that predict what the exchange would hold compete for the
slots that are open (`hypotheses`). What none explains is read as a series, and slot by slot (`series`, `rules`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from pipelines.frames import INSTANT
from pipelines.reconcile.candidates import by_factors, by_shifts
from pipelines.reconcile.factors import factor_predictions
from pipelines.reconcile.hypotheses import Hypothesis, weigh
from pipelines.reconcile.names import Diagnosis, Finding, in_words, repair_of
from pipelines.reconcile.outbox import held_in_words, own_cause
from pipelines.reconcile.profiles import profile_predictions
from pipelines.reconcile.rules import decide, left_rules, own_rules
from pipelines.reconcile.same import TOLERANCE_WH, matches
from pipelines.reconcile.series import no_results, profiles, stopped, with_neighbours
from pipelines.reconcile.shifts import shift_predictions, since_clock_change
from pipelines.reconcile.swaps import swap_predictions

KEY = ["asset_id", "slot_start"]
SHIFTS = (Diagnosis.SHIFTED, Diagnosis.SHIFTED_HOUR, Diagnosis.SHIFTED_ZONE)

ROWS_AT_ONCE = 40_000
"""Slots whose hypotheses are in memory together, some 0.3 GB: 200 assets over two days."""

MARKED_AT_ONCE = 100_000
"""Slots of differing assets that are marked and read as series together, some 0.15 GB."""

Predicted = tuple[pl.DataFrame, dict[str, Hypothesis]]
"""What hypotheses predict, and the hypotheses by name."""

TOLD = pl.Schema(
    {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "diagnosis": pl.String(),
        "evidence": pl.String(),
        "confidence": pl.Float64(),
        "other": pl.String(),
    }
)
"""What is found of slots; `other`: a second asset that is spoken of."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a diagnosis must know beside the values."""

    length: timedelta
    """Of a slot."""

    time_zone: str
    """The community's."""

    zero_is_nothing: bool
    """The exchange puts 0 where nothing arrived; else the value before stands on."""

    names: dict[str, str]
    """asset_id -> name."""

    unknown: dict[str, str]
    """Assets the exchange doesn't know, with its words."""

    whole_from: datetime | None = None
    """From then on the evidence holds all assets, before only those that differ somewhere. None: it holds all."""


Found = dict[tuple[str, datetime], Finding]


def diagnose(evidence: pl.DataFrame, measured: pl.DataFrame, around: Surroundings, *, since: datetime) -> Found:
    """Findings for the slots that differ.

    Args:
        evidence: every slot of every asset, without gaps, also those that agree and those before `since`: they are
            the pattern. asset_id, slot_start, wanted_wh, exchange_wh, carried_wh, carried_from, state, attempts, error,
            agrees, compared (the exchange's side was read). See `Surroundings.whole_from`.
        measured: slot energies of earlier days: asset_id, slot_start, energy_wh.
        around: what else counts.
        since: slots before are evidence only.

    Returns:
        By asset and slot; one for each compared slot from `since` on that doesn't agree.
    """
    everyone = evidence.select(*KEY, "wanted_wh", "exchange_wh", "compared")
    # Hypotheses and series are of assets that differ somewhere: mostly a few of very many.
    differing = evidence.filter("compared", ~pl.col("agrees"))["asset_id"].unique().sort().to_list()
    at_once = max(1, MARKED_AT_ONCE // max(1, evidence["slot_start"].n_unique()))
    portions = [differing[begin : begin + at_once] for begin in range(0, len(differing), at_once)]
    swaps, absent = _swaps(evidence, everyone, portions, around), no_results(everyone)
    told, left = [TOLD.to_frame()], []
    for some in portions:
        pairs = _opened(evidence, some, around)
        known = decide(pairs.filter(pl.col("differs") & ~pl.col("open")), own_rules())
        patterned = _patterned(pairs, swaps, measured, around)
        told += [known.with_columns(other=pl.lit("")), patterned]
        pairs = pairs.with_columns(left=pl.col("open") & ~_within(pairs, patterned))
        left.append(_beside(pairs, absent, zero_is_nothing=around.zero_is_nothing).filter("left"))
    if left:
        rows = pl.concat(left).with_columns(early_assets=pl.col("holds_next").sum().over("slot_start"))
        rest = decide(rows, left_rules(zero_is_nothing=around.zero_is_nothing))
        told.append(rest.with_columns(other=pl.lit("")))
    return {
        (row["asset_id"], row["slot_start"]): _finding(row, around)
        for row in pl.concat(told).filter(pl.col("slot_start") >= since).iter_rows(named=True)
    }


def _opened(evidence: pl.DataFrame, assets: list[str], around: Surroundings) -> pl.DataFrame:
    """The assets' rows, with what this side knows by itself, and which are open."""
    unknown = pl.DataFrame(
        list(around.unknown.items()), schema={"asset_id": pl.String(), "unknown": pl.String()}, orient="row"
    )
    return (
        evidence.filter(pl.col("asset_id").is_in(assets))
        .sort(KEY)
        .join(unknown, on="asset_id", how="left", maintain_order="left")
        .with_columns(own=own_cause(), differs=pl.col("compared") & ~pl.col("agrees"))
        .with_columns(open=pl.col("differs") & pl.col("own").is_null() & pl.col("unknown").is_null())
        .with_columns(as_carried=matches("carried_wh", "exchange_wh"))
    )


def _swaps(
    evidence: pl.DataFrame, everyone: pl.DataFrame, portions: list[list[str]], around: Surroundings
) -> Predicted:
    """Who holds whose series: the one question that looks at all assets together."""
    if not portions:
        return swap_predictions(everyone.clear(), evidence.clear().with_columns(open=pl.lit(value=False)), [])
    pairs = pl.concat(
        _opened(evidence, some, around).select(*KEY, "exchange_wh", "open", "agrees") for some in portions
    )
    if around.whole_from is not None:
        everyone = everyone.filter(pl.col("slot_start") >= around.whole_from)
    return swap_predictions(everyone, pairs, pairs.filter("open")["asset_id"].unique().sort().to_list())


def _within(pairs: pl.DataFrame, found: pl.DataFrame) -> pl.Series:
    marked = found.select(*KEY, hit=pl.lit(value=True))
    return pairs.join(marked, on=KEY, how="left", maintain_order="left")["hit"].fill_null(value=False)


def _finding(row: dict[str, object], around: Surroundings) -> Finding:
    diagnosis, asset, other = Diagnosis(str(row["diagnosis"])), str(row["asset_id"]), str(row["other"])
    confidence = float(str(row["confidence"]))
    return Finding(
        diagnosis=diagnosis,
        evidence=f"{row['evidence']} ({in_words(confidence)})",
        confidence=confidence,
        repair=repair_of(
            diagnosis, asset=around.names.get(asset, asset), other=around.names.get(other, other) if other else ""
        ),
    )


def _patterned(pairs: pl.DataFrame, swapped: Predicted, measured: pl.DataFrame, around: Surroundings) -> pl.DataFrame:
    """What the hypotheses explain: asset_id, slot_start, diagnosis, evidence, confidence, other."""
    suspects = pairs.filter("open")["asset_id"].unique().sort().to_list()
    swaps, named = swapped
    found = [TOLD.to_frame()]
    opened = pairs.filter(pl.col("asset_id").is_in(suspects))
    can = {*by_factors(opened, length=around.length), *by_shifts(opened, length=around.length)}
    can |= {*swaps["asset_id"].unique(), *measured["asset_id"].unique()}
    suspects = [asset for asset in suspects if asset in can]
    at_once = max(1, ROWS_AT_ONCE // max(1, pairs["slot_start"].n_unique()))
    for begin in range(0, len(suspects), at_once):
        some = pl.col("asset_id").is_in(suspects[begin : begin + at_once])
        # In the order in which they go before each other where they explain as much.
        families = [
            (swaps.filter(some), named),
            factor_predictions(pairs.filter(some), length=around.length),
            shift_predictions(pairs.filter(some), length=around.length, time_zone=around.time_zone),
            profile_predictions(pairs.filter(some), measured),
        ]
        found.append(_competed(pairs.filter(some), families, around))
    return pl.concat(found)


def _competed(pairs: pl.DataFrame, families: list[Predicted], around: Surroundings) -> pl.DataFrame:
    hypotheses = {name: one for _, named in families for name, one in named.items()}
    # What one asset alone shows goes after a cause of its own: a quarter of it may be near another asset's.
    hypotheses = dict(sorted(hypotheses.items(), key=lambda item: item[1].diagnosis is Diagnosis.ANOTHERS))
    found = weigh(pairs, pl.concat(frame for frame, _ in families), hypotheses)
    of_shifts = [name for name, one in hypotheses.items() if one.diagnosis in SHIFTS]
    shifted = found.filter(pl.col("hypothesis").is_in(of_shifts))
    clocked = since_clock_change(pairs, shifted, time_zone=around.time_zone)
    return _told(found, hypotheses, clocked, pairs, around)


def _told(
    found: pl.DataFrame,
    hypotheses: dict[str, Hypothesis],
    clocked: pl.DataFrame,
    pairs: pl.DataFrame,
    around: Surroundings,
) -> pl.DataFrame:
    since_clock = set(clocked.select(KEY).iter_rows())
    rows = []
    values = pairs.select(*KEY, "exchange_wh", "wanted_wh", "as_carried", "carried_from")
    held = found.join(values, on=KEY).with_columns(held=held_in_words("as_carried"))
    for row in held.iter_rows(named=True):
        one = hypotheses[row["hypothesis"]]
        if one.other:
            name = around.names.get(one.other, one.other)
            one = replace(one, words=f"holds what should stand with '{name}'")
        diagnosis, more = one.diagnosis, ""
        if (row["asset_id"], row["slot_start"]) in since_clock:
            diagnosis, more = Diagnosis.SHIFTED_CLOCK, " since the clock change, and in place before"
        evidence = (
            f"the exchange {one.words}{more}: in {row['explained']} of {row['telling']} telling slots from "
            f"{row['first']:%Y-%m-%d %H:%M} UTC on, {row['values']} different values; here {row['held']} "
            f"for {row['wanted_wh']:g} Wh"
        )
        rows.append((row["asset_id"], row["slot_start"], diagnosis.value, evidence, row["confidence"], one.other))
    return pl.DataFrame(rows, schema=TOLD, orient="row")


def _beside(pairs: pl.DataFrame, absent: pl.DataFrame, *, zero_is_nothing: bool) -> pl.DataFrame:
    """Rows with what `left_rules` look at beside them: the whole slot, the asset's run and its profile."""
    seen = with_neighbours(pairs).with_columns(
        twice_wh=2 * pl.col("wanted_wh"),
        holds_zero=(pl.col("exchange_wh").abs() <= TOLERANCE_WH).fill_null(value=False),
        holds_next=pl.col("left") & matches("exchange_wh", "next_wh") & (pl.col("exchange_wh").abs() > TOLERANCE_WH),
    )
    of_profile = profiles(seen).select(
        "asset_id", "since", "again", "strange", "telling", foreign_slots="foreign", profile_confidence="confidence"
    )
    return (
        seen.join(absent, on="slot_start", how="left")
        .join(of_profile, on="asset_id", how="left")
        .join(stopped(seen, zero_is_nothing=zero_is_nothing), on=["asset_id", "run"], how="left")
    )
