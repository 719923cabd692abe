"""What the tests of forecasts share."""

from collections.abc import Iterator

import pytest

from pipelines.convert.forecast import model as learned
from pipelines.convert.forecast.windows import Grid
from tests.convert.forecast.helpers import cut, grid


@pytest.fixture(scope="module")
def small_models() -> Iterator[None]:
    """A part of the trees: how well the whole model does is measured by tests/benchmarks/forecast.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned, "TREES", 60)
        yield


@pytest.fixture(scope="module")
def past() -> Grid:
    """The history of a few assets."""
    return grid(cut())
