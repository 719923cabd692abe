"""The community file beside the exchange's registry: what differs, and writing it into the file.

`reading` takes from the file what is needed, also from one that isn't sound yet; `compare` finds what differs;
`edit` writes it into the text and leaves every other byte as it was; `standing` is `slotfeed check --connect`.
"""

from pipelines.sync.compare import Change, Comparison, compare
from pipelines.sync.edit import edited, save
from pipelines.sync.reading import CommunityFile, FileAsset, read_file
from pipelines.sync.standing import standing_issues

__all__ = [
    "Change",
    "CommunityFile",
    "Comparison",
    "FileAsset",
    "compare",
    "edited",
    "read_file",
    "save",
    "standing_issues",
]
