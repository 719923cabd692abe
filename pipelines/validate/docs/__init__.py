"""Great Expectations' Data Docs of one period: pages that open without a network."""

from pipelines.validate.docs.build import build_data_docs
from pipelines.validate.docs.judged import ROWS_AT_MOST, Judged

__all__ = ["ROWS_AT_MOST", "Judged", "build_data_docs"]
