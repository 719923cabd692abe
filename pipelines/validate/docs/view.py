"""How Great Expectations' documents become HTML that needs no network: its view, with our templates before its own.

Great Expectations' templates don't escape by themselves. Names of assets and streams come from outside, so here every
text is escaped that reaches a page.
"""
# mypy: allow-subclassing-any, allow-untyped-decorators

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, pass_context
from markupsafe import Markup, escape

from pipelines.plain import plain_lines
from pipelines.validate.docs.gx import BACK_TO_INDEX, GX_VERSION, DefaultJinjaPageView

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all pages of a site say."""

    community: str
    report_href: str
    """From the index page."""

    period: str
    made_at: str
    zone: str


class OfflinePageView(DefaultJinjaPageView):
    """Great Expectations' view with the templates of `assets/` in the place of those that fetch from elsewhere."""

    _template = "layout.html"

    def __init__(
        self, site: Site, custom_styles_directory: str | None = None, custom_views_directory: str | None = None
    ) -> None:
        super().__init__(custom_styles_directory, custom_views_directory)
        theirs: BaseLoader = self.env.loader
        self.env.loader = ChoiceLoader([FileSystemLoader(ASSETS), theirs])
        self._site = site

    def render(self, document: Any, template: str | None = None, **options: Any) -> Any:  # noqa: ANN401 - as inherited
        """Render a page."""
        root = BACK_TO_INDEX[document.renderer_type]
        ours = {"site": self._site, "root": root, "version": GX_VERSION, **_look()}
        return super().render(document, template, **options, **ours)

    @pass_context
    def render_content_block(
        self,
        jinja_context: Any,  # noqa: ANN401
        content_block: Any,  # noqa: ANN401
        index: Any = None,  # noqa: ANN401
        content_block_id: Any = None,  # noqa: ANN401
        render_to_markdown: bool = False,
    ) -> Any:  # noqa: ANN401
        """Render a block; a text by itself is escaped."""
        block = [_escaped(part) for part in content_block] if isinstance(content_block, list) else content_block
        return super().render_content_block(jinja_context, _escaped(block), index, content_block_id, render_to_markdown)


def _escaped(block: Any) -> Any:  # noqa: ANN401
    return str(escape(plain_lines(block))) if isinstance(block, str) else block


@cache
def _look() -> dict[str, str]:
    """The style sheet, and the policy that lets a browser use it and nothing else."""
    style = (ASSETS / "docs.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return {"style": Markup(style), "policy": policy}  # noqa: S704 - our own file
