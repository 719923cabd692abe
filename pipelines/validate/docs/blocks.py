"""Pieces of pages, as Great Expectations' views take them. Values are escaped by the view, never here."""

from collections.abc import Sequence
from typing import Any

from pipelines.plain import plain_lines
from pipelines.validate.docs.gx import RenderedHeaderContent, RenderedStringTemplateContent, RenderedTableContent
from pipelines.validate.docs.outcomes import Outcome

ICONS = {
    Outcome.MET: ("fas", "fa-check-circle", "text-success"),
    Outcome.FAILED: ("fas", "fa-times", "text-danger"),
    Outcome.ERROR: ("fas", "fa-exclamation-triangle", "text-warning"),
    Outcome.EMPTY: ("fas", "fa-minus", "text-muted"),
}
"""Classes that Great Expectations' own pages give these marks; the style sheet draws them."""

OUTCOME_WORDS = {
    Outcome.MET: "Succeeded",
    Outcome.FAILED: "Failed",
    Outcome.ERROR: "Error",
    Outcome.EMPTY: "No rows",
}


def line(template: str, *, tag: str = "p", classes: Sequence[str] = (), **values: Any) -> Any:  # noqa: ANN401
    """A line of text.

    Args:
        template: with `$name` where a value goes.
        tag: of the line.
        classes: of the line.
        values: by name: a text, or a text with the tag, the classes and perhaps the address (`href`) it gets.
    """
    params = {name: plain_lines(value if isinstance(value, str) else value[0]) for name, value in values.items()}
    styled = {name: _styling(*value[1:]) for name, value in values.items() if not isinstance(value, str)}
    return RenderedStringTemplateContent(
        content_block_type="string_template",
        string_template={
            "template": template,
            "params": params,
            "tag": tag,
            "styling": {"classes": list(classes), "params": styled},
        },
    )


def _styling(tag: str, classes: Sequence[str] = (), href: str | None = None) -> dict[str, Any]:
    return {"tag": tag, "classes": list(classes), "attributes": {"href": href} if href else {}}


def status(outcome: Outcome) -> Any:  # noqa: ANN401
    """An outcome's mark with its word."""
    return line(
        "$icon $word",
        tag="span",
        classes=("status", outcome.value),
        icon=("", "i", ICONS[outcome]),
        word=OUTCOME_WORDS[outcome],
    )


def header(title: Any) -> Any:  # noqa: ANN401
    """A section's heading."""
    return RenderedHeaderContent(content_block_type="header", header=title, styling={"classes": ["heading"]})


def table(rows: Sequence[Sequence[Any]], *, classes: Sequence[str], headings: Sequence[str] = ()) -> Any:  # noqa: ANN401
    """A table; on a narrow screen its rows become cards unless it is of the class `table-bordered`."""
    return RenderedTableContent(
        content_block_type="table",
        table=[list(row) for row in rows],
        header_row=list(headings) or None,
        styling={"body": {"classes": ["table", *classes]}},
    )
