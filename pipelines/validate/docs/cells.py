"""What the pages say of one expectation: what it demands, what came of it, and which rows broke it."""

from typing import Any

from pipelines.validate.docs.blocks import line, table
from pipelines.validate.docs.examples import compared_columns
from pipelines.validate.docs.gx import LegacyDiagnosticRendererType, get_renderer_impl
from pipelines.validate.docs.outcomes import (
    SEVERITY_WORDS,
    Outcome,
    SuiteFacts,
    error_in,
    meaning_of,
    name_of,
)
from pipelines.validate.docs.words import NOTHING, counted, heading, share


def judged_expectation(result: Any, outcome: Outcome, facts: SuiteFacts) -> list[Any]:  # noqa: ANN401
    """What a good row is, and what was found."""
    configuration = result.expectation_config
    said = _named(configuration, looks_at=name_of(configuration) in facts.repeated)
    if outcome is Outcome.ERROR:
        return [*said, *_error(result)]
    return [*said, *(_broken(result, facts) if outcome is Outcome.FAILED else [])]


def _named(configuration: Any, *, looks_at: bool = False) -> list[Any]:  # noqa: ANN401
    """An expectation's title, its short name, its number among the VEE checks, perhaps its columns; its sentence."""
    meta = configuration.meta or {}
    meaning = meaning_of(meta)
    name = name_of(configuration)
    title = meaning.title if meaning else str(meta.get("title") or heading(name).capitalize())
    vee = meaning.vee if meaning else int(meta.get("vee") or 0)
    columns = ", ".join(map(heading, compared_columns(configuration.kwargs))) or "all rows together"
    sentence = configuration.description or f"Looks at {columns}."
    values: dict[str, Any] = {"title": (title, "strong"), "name": (name, "code")}
    values |= {"vee": (f"VEE {vee}", "span", ("badge",))} if vee else {}
    values |= {"columns": (columns, "span", ("hint",))} if looks_at else {}
    return [
        line(" ".join(f"${part}" for part in values), tag="div", classes=("check",), **values),
        line("$sentence", classes=("sentence",), sentence=sentence),
    ]


def _error(result: Any) -> list[Any]:  # noqa: ANN401
    return [
        line(
            "$why", classes=("statement", "text-warning"), why="Could not be evaluated; nothing is known of these rows."
        ),
        # Not <pre>: the view puts its own line breaks around the text.
        line("$message", tag="div", message=(error_in(result) or "no reason given", "span", ("message",))),
    ]


def _broken(result: Any, facts: SuiteFacts) -> list[Any]:  # noqa: ANN401
    numbers = result.result.get("unexpected_index_list")
    if not numbers:
        return []
    found = facts.rows.examples(numbers, result.expectation_config.kwargs)
    blocks = [
        line(
            "$broken of $all ($share)",
            classes=("statement", "text-danger"),
            broken=f"{len(numbers):,}",
            all=counted(facts.judged, "row"),
            share=share(len(numbers), facts.judged),
        ),
        table(found.rows, classes=("table-bordered",), headings=found.headings),
    ]
    if len(numbers) > len(found.rows):
        assets = ", ".join(f"{asset} ({count:,})" for asset, count in found.by_asset)
        rest = f" and {counted(found.other_assets, 'other asset')}" if found.other_assets else ""
        blocks.append(
            line(
                "$rest Rows by asset: $assets.",
                classes=("hint",),
                rest=f"{counted(len(numbers) - len(found.rows), 'more row')}.",
                assets=assets + rest,
            )
        )
    return blocks


def observed(result: Any, outcome: Outcome) -> str:  # noqa: ANN401
    """What Great Expectations itself says was observed."""
    if outcome is Outcome.ERROR:
        return NOTHING
    if "unexpected_percent" in result.result and result.result["unexpected_percent"] is None:
        return "no row to look at"
    found = get_renderer_impl(
        object_name=result.expectation_config.type, renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE
    )
    return str(found.renderer(result=result)).replace("--", NOTHING) if found else NOTHING


def demanded_expectation(configuration: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """What a good row is, the columns looked at, what follows where a row isn't good, and whose rule it is."""
    meaning = meaning_of(configuration.meta or {})
    columns = compared_columns(configuration.kwargs)
    follows = f"{meaning.severity.value}: {SEVERITY_WORDS[meaning.severity]}" if meaning else NOTHING
    looks_at = "; ".join(map(heading, columns)) if columns else "all rows together"
    return _named(configuration), looks_at, follows, meaning.source if meaning else NOTHING
