"""Keep the exchange's results for longer than its 90 days: a file a day, and a manifest that proves them."""

from pipelines.archive.downloads import add_download
from pipelines.archive.manifest import Day, Download, Manifest
from pipelines.archive.run import ArchiveSummary, archive_folder, keep_results
from pipelines.archive.verify import verify

__all__ = [
    "ArchiveSummary",
    "Day",
    "Download",
    "Manifest",
    "add_download",
    "archive_folder",
    "keep_results",
    "verify",
]
