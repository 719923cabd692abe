"""Which span of time is read in which query."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

CLOSE_BY = timedelta(days=1)
"""Streams whose starts lie closer together are read together from the earliest."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """One query: [start, end] of the streams named."""

    start: datetime
    end: datetime
    stream_ids: tuple[str, ...]
    newest: bool
    """It is the last one, up to the end."""


def plan(starts: Mapping[str, datetime], end: datetime, longest: timedelta) -> Iterator[Window]:
    """Windows from the earliest start to `end`, oldest first.

    Streams that lag far behind the others get windows of their own, so that one dead device doesn't
    make the whole source be read again from its last reading on.

    Args:
        starts: per stream, from where on it is to be read; none after `end`.
        end: until when.
        longest: what one window may span.
    """
    latest = max(starts.values())
    together = min(start for start in starts.values() if start >= latest - CLOSE_BY)
    edges = [
        *_edges(min(starts.values()), together, longest),
        *(list(_edges(together, end, longest)) or [together]),
        end,
    ]
    for number, (begin, stop) in enumerate(pairwise(edges), start=2):
        newest = number == len(edges)
        ids = tuple(stream_id for stream_id, start in starts.items() if start < stop or newest)
        yield Window(start=begin, end=stop, stream_ids=ids, newest=newest)


def _edges(start: datetime, end: datetime, longest: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += longest
