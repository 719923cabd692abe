"""What one run adds to the counters, from its line in the run log."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.community import Community
from pipelines.store.tally import Key

RUN_BOUNDS_S = (1, 5, 10, 20, 30, 60, 120, 240, 480, 900)
"""Seconds; ours: a feed must end within its slot, and well before."""

BEYOND = "+Inf"
SUM = "sum"
"""Label of a histogram's sum, beside those of its bounds."""

ENDED_BY_HAND = "stopped"


def amounts_of(community: Community, command: str, outcome: str, summary: Mapping[str, Any]) -> dict[Key, float]:
    """By counter, as `pipelines.metrics.families` names them. Zeros are there too: a counter is to begin at zero.

    Args:
        community: its sources.
        command: of the run, which is its flow.
        outcome: as the run log has it.
        summary: what each step reported, by step, and `stages_s`: step -> seconds.
    """
    found: dict[Key, float] = {("runs", command, outcome): 1.0}
    parts = (
        _collected(community, outcome, summary),
        _judged(summary),
        _made(summary),
        _delivered(summary),
        _timed(command, summary),
    )
    for part in parts:
        for key, amount in part:
            found[key] = found.get(key, 0.0) + amount
    return found


def _collected(community: Community, outcome: str, summary: Mapping[str, Any]) -> Iterator[tuple[Key, float]]:
    collected = summary.get("collect")
    if collected is None:
        # Where no source could be read there is no summary, and the run goes on.
        if "collect" in summary.get("stages_s", {}) and "validate" in summary and outcome != ENDED_BY_HAND:
            yield from ((("source_failures", name), 1.0) for name in community.sources)
        return
    failed = {*collected["sources_failed"], *(name.partition("/")[0] for name in collected["devices_failed"])}
    for name, counts in collected["per_source"].items():
        yield ("readings_stored", name), counts["stored"]
        yield ("readings_corrected", name), counts["corrected"]
        yield ("source_failures", name), float(name in failed)


def _judged(summary: Mapping[str, Any]) -> Iterator[tuple[Key, float]]:
    judged = summary.get("validate")
    if judged is None:
        return
    for verdict in ("good", "quarantined"):
        yield ("readings_judged", verdict), judged[verdict]
    yield from ((("readings_broken", check), count) for check, count in judged["by_expectation"].items())


def _made(summary: Mapping[str, Any]) -> Iterator[tuple[Key, float]]:
    if (made := summary.get("convert")) is not None:
        yield ("slots_computed",), made["slots"]
        yield ("submissions_planned",), made["planned"]
    if (repaired := summary.get("repair")) is not None:
        # Without leave it tells what it would do.
        yield ("submissions_resent",), repaired["resent"] if repaired["acted"] else 0


def _delivered(summary: Mapping[str, Any]) -> Iterator[tuple[Key, float]]:
    delivered = summary.get("deliver")
    if delivered is None:
        return
    for outcome in ("accepted", "rejected", "expired", "given_back"):
        yield ("submissions", outcome), delivered[outcome]
    yield from ((("delivery_margin_seconds", bound), count) for bound, count in delivered["margins"].items())
    yield ("delivery_margin_seconds", SUM), delivered["margin_s"]


def _timed(command: str, summary: Mapping[str, Any]) -> Iterator[tuple[Key, float]]:
    stages: Mapping[str, float] = summary.get("stages_s", {})
    for stage, seconds in stages.items():
        yield ("stage_seconds", command, stage), seconds
    whole = sum(stages.values())
    place = bisect_left(RUN_BOUNDS_S, whole)
    bound = str(RUN_BOUNDS_S[place]) if place < len(RUN_BOUNDS_S) else BEYOND
    yield ("run_duration_seconds", command, bound), 1.0
    yield ("run_duration_seconds", command, SUM), whole
