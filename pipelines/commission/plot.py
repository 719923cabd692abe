"""The certificate's drawing: plain SVG paths, for a page without scripts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.report.times import ticks, to_ms

WIDTH, HEIGHT = 1000, 150
ROOM = 0.06
"""Share of the height above the highest value."""

LABELS = 8


def plot(rows: Sequence[tuple[datetime, float, float]], *, length: timedelta, zone: ZoneInfo) -> dict[str, Any]:
    """Bars of what was sent, and a line over each slot for what the exchange held.

    Args:
        rows: slot start, Wh sent, Wh held; in order, at least one.
        length: of a slot.
        zone: of the labels.

    Returns:
        most_wh, bars and line (SVG path data within WIDTH by HEIGHT), ticks (at: percent from the left; lines).
    """
    start, end = rows[0][0], rows[-1][0] + length
    most = max(max(sent, held) for _, sent, held in rows)
    scale = HEIGHT * (1 - ROOM) / most if most > 0 else 0.0
    wide = WIDTH * (length / (end - start))

    def x(slot: datetime) -> float:
        return WIDTH * ((slot - start) / (end - start))

    bars = [
        f"M{x(slot):.1f} {HEIGHT}V{HEIGHT - sent * scale:.1f}h{wide * 0.86:.2f}V{HEIGHT}z"
        for slot, sent, _ in rows
        if sent > 0
    ]
    line = [f"M{x(slot):.1f} {HEIGHT - held * scale:.1f}h{wide:.2f}" for slot, _, held in rows]
    span_ms = to_ms(end) - to_ms(start)
    marked = [
        {"at": round(100 * (tick.at_ms - to_ms(start)) / span_ms, 2), "lines": list(tick.lines[:2])}
        for tick in ticks(start, end, zone, at_most=LABELS)
    ]
    return {"most_wh": most, "bars": "".join(bars), "line": "".join(line), "ticks": marked}
