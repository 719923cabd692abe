"""Causes that a slot shows by itself or in its row, tried in order where no hypothesis explains it."""

from typing import NamedTuple

import polars as pl

from pipelines.frames import State
from pipelines.reconcile.names import Diagnosis
from pipelines.reconcile.outbox import held_in_words, number
from pipelines.reconcile.same import matches

HELD = held_in_words("as_carried")


class Rule(NamedTuple):
    """A cause, when it holds, and what is told of it. The confidences are ours."""

    diagnosis: Diagnosis
    holds: pl.Expr
    evidence: pl.Expr
    confidence: pl.Expr


def own_rules() -> list[Rule]:
    """What the outbox and the registry say: beyond doubt, so no pattern is looked for."""
    own = pl.col("own")
    error = pl.when(pl.col("error").fill_null("") == "").then(pl.lit("not sent in time")).otherwise(pl.col("error"))
    sure = pl.lit(1.0)
    return [
        Rule(Diagnosis.UNKNOWN_ASSET, pl.col("unknown").is_not_null(), pl.col("unknown"), sure),
        Rule(
            Diagnosis.NO_LOCAL_VALUE,
            own == Diagnosis.NO_LOCAL_VALUE.value,
            pl.format("nothing valid was measured in time; {}", HELD),
            sure,
        ),
        Rule(Diagnosis.LATE, own == Diagnosis.LATE.value, pl.format("{}; {}", error, HELD), sure),
        Rule(
            Diagnosis.REFUSED,
            own == Diagnosis.REFUSED.value,
            pl.format("{}; {}", pl.col("error").fill_null(""), HELD),
            sure,
        ),
    ]


def left_rules(*, zero_is_nothing: bool) -> list[Rule]:
    """What is left when the hypotheses have had their turn, over the columns of `diagnose._beside`."""
    return [
        Rule(
            Diagnosis.NO_RESULT,
            pl.col("absent").is_not_null(),
            pl.format("the exchange has no value for the slot, of {} of {} assets", "absent", "assets"),
            pl.col("absent") / pl.col("assets"),
        ),
        Rule(
            Diagnosis.LATE,
            pl.col("state") == State.EXPIRED.value,
            pl.format("{}; {}", pl.col("error").fill_null(""), HELD),
            pl.lit(1.0),
        ),
        _counted_twice(),
        _profile(),
        Rule(
            Diagnosis.REPEATED,
            pl.col("run_slots").is_not_null(),
            pl.format(
                "since {} UTC the exchange repeats {} Wh, in {} slots for which others ({} values) were accepted",
                pl.col("run_from").dt.strftime("%Y-%m-%d %H:%M"),
                number("exchange_wh"),
                "run_slots",
                "run_values",
            ),
            1 - pl.lit(0.5).pow(pl.col("run_slots")),
        ),
        *_missing(zero_is_nothing=zero_is_nothing),
        Rule(
            Diagnosis.LATE_CYCLE,
            pl.col("holds_next"),
            pl.format(
                "the exchange holds the {} Wh of the slot after already, with {} asset(s) in this slot: its slot began "
                "late",
                number("exchange_wh"),
                "early_assets",
            ),
            1 - pl.lit(0.5).pow(pl.col("early_assets")),
        ),
        Rule(
            Diagnosis.DIFFERS,
            pl.lit(value=True),
            pl.format("sent {} Wh; {}; no pattern fits: somebody else may write", number("wanted_wh"), HELD),
            pl.lit(0.5),
        ),
    ]


def _counted_twice() -> Rule:
    return Rule(
        Diagnosis.DUPLICATED,
        (pl.col("attempts").fill_null(0) > 1) & matches("twice_wh", "exchange_wh"),
        pl.format("sent {} times, and the exchange counts {} Wh twice", "attempts", number("wanted_wh")),
        pl.lit(0.8),
    )


def _profile() -> Rule:
    again = (
        pl.when(pl.col("again") >= 0.6)
        .then(pl.lit("; they are those of the day before, slot by slot"))
        .otherwise(pl.lit("; somebody else who writes every slot would look alike"))
    )
    return Rule(
        Diagnosis.SWITCHED_OFF,
        pl.col("foreign_slots").is_not_null(),
        pl.format(
            "all was accepted, and since {} UTC {} of {} telling slots hold something else, {} of them values of their "
            "own, as of a profile{}; {}",
            pl.col("since").dt.strftime("%Y-%m-%d %H:%M"),
            "strange",
            "telling",
            "foreign_slots",
            again,
            HELD,
        ),
        pl.col("profile_confidence"),
    )


def _missing(*, zero_is_nothing: bool) -> list[Rule]:
    """What the exchange puts where nothing arrived: nothing, the value of the slot before, or 0."""
    accepted = "answered as accepted, but not used: "
    # The protocol's own fallback is what speaks loudest for a value that never arrived.
    zero, before = (0.9, 0.7) if zero_is_nothing else (0.7, 0.9)
    return [
        Rule(
            Diagnosis.MISSING,
            pl.col("exchange_wh").is_null(),
            pl.lit(f"{accepted}the exchange has no value for the slot"),
            pl.lit(0.8),
        ),
        Rule(
            Diagnosis.MISSING,
            pl.col("repeats"),
            pl.format(f"{accepted}the exchange repeats the {{}} Wh of the slot before", number("exchange_wh")),
            pl.lit(before),
        ),
        Rule(
            Diagnosis.MISSING,
            pl.col("holds_zero"),
            pl.lit(f"{accepted}the exchange holds 0"),
            pl.lit(zero),
        ),
    ]


def decide(rows: pl.DataFrame, rules: list[Rule]) -> pl.DataFrame:
    """The first rule that holds for each row: asset_id, slot_start, diagnosis, evidence, confidence."""

    def first(part: str) -> pl.Expr:
        return pl.coalesce(pl.when(rule.holds).then(getattr(rule, part)) for rule in rules)

    return rows.select(
        "asset_id",
        "slot_start",
        diagnosis=pl.coalesce(pl.when(rule.holds).then(pl.lit(rule.diagnosis.value)) for rule in rules),
        evidence=first("evidence"),
        confidence=first("confidence").cast(pl.Float64),
    ).filter(pl.col("diagnosis").is_not_null())
