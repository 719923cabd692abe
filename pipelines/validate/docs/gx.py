"""The parts of Great Expectations that the Data Docs are made with, and what is known of its insides.

Everything here that isn't documented for users stands in this one file; `tests/validate/docs/test_gx.py` tells which
part changed where a new version of Great Expectations does it another way. Importing this takes seconds.
"""

from great_expectations import ExpectationSuite, ValidationDefinition
from great_expectations import __version__ as GX_VERSION  # noqa: N812 - a constant
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context import EphemeralDataContext, project_manager
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.exceptions import GreatExpectationsError
from great_expectations.exceptions.exceptions import DataContextRequiredError
from great_expectations.expectations.registry import get_renderer_impl
from great_expectations.render import (
    LegacyDiagnosticRendererType,
    RenderedDocumentContent,
    RenderedHeaderContent,
    RenderedSectionContent,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.page_renderer import (
    ExpectationSuitePageRenderer,
    ValidationResultsPageRenderer,
)
from great_expectations.render.renderer.site_builder import SiteBuilder
from great_expectations.render.renderer.site_index_page_renderer import SiteIndexPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

__all__ = [
    "GX_VERSION",
    "DataContextConfig",
    "DataContextRequiredError",
    "DefaultJinjaPageView",
    "EphemeralDataContext",
    "ExpectationSuite",
    "ExpectationSuitePageRenderer",
    "GreatExpectationsError",
    "InMemoryStoreBackendDefaults",
    "LegacyDiagnosticRendererType",
    "ProgressBarsConfig",
    "RenderedDocumentContent",
    "RenderedHeaderContent",
    "RenderedSectionContent",
    "RenderedStringTemplateContent",
    "RenderedTableContent",
    "RunIdentifier",
    "SiteBuilder",
    "SiteIndexPageRenderer",
    "ValidationDefinition",
    "ValidationResultsPageRenderer",
    "get_renderer_impl",
    "project_manager",
]

LOGGER = "great_expectations"
"""Rendering errors are only logged here: the page that they belong to is left out or has a hole."""

BACK_TO_INDEX = {
    "SiteIndexPageRenderer": "",
    "ExpectationSuitePageRenderer": "../",
    "ValidationResultsPageRenderer": "../../../../",
}
"""A page's `renderer_type` -> the way from its folder up to the index: `expectations/SUITE.html` and
`validations/SUITE/RUN NAME/RUN TIME/BATCH.html`."""

OURS_INSTEAD = frozenset({"page.j2", "index_page.j2", "table.j2"})
"""Great Expectations' templates that this package's take the place of: they fetch from elsewhere or need scripts."""

ASSEMBLED_FROM = frozenset({"section.j2", "component.j2", "header.j2", "content_block_header.j2", "string_template.j2"})
"""Great Expectations' templates that our pages use as they are: plain markup."""

STATIC = "static"
"""Folder of the site with fonts, pictures and films of 3.5 MB that no page of ours shows."""

NO_SECTION = "None"
"""Turns a section of the site off: Great Expectations wants the word."""
