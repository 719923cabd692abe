"""Numbers and sets that the checks compare with, and the verbs go by. Light, like `names`."""

from collections.abc import Mapping

UNIT_OF_KIND: Mapping[str, str] = {"register": "Wh", "interval": "Wh", "power": "W"}
"""Kinds of readings and the unit each is normalised to."""

USABLE_QUALITIES = frozenset({"MEASURED", "SUBSTITUTED", "ESTIMATED", "PROVISIONAL"})
"""Qualities that energy may be computed from: all but MISSING and UNUSABLE."""

WHOLE = 0.999
"""Share of a slot from which on it counts as backed whole by readings: a second's difference between clocks is no gap.
The project's own choice."""

CHANGED_BY = 1.0
"""A value that differs from an older one of its stamp by no more, in Wh or W, says the same: sources round to whole
ones. The project's own choice."""

SHORTEST_S = 60.0
"""Two register readings count as at least this far apart, in seconds. Gateways stamp late and early by seconds;
over a shorter time that error, not the meter, would make the power."""

REGISTER_STEPS_WH = (1000.0, 100.0, 10.0, 1.0)
"""Resolutions a register may show. It counts whole steps, so up to one step of a rise may be older than the rise."""

REGISTER_MODULI_WH = tuple(10.0**exponent for exponent in range(5, 13))
"""Where a register may roll over, in Wh: dials are decimal. From 100 kWh, because what falls to zero below
that is a day's counter rather than a meter; to 1 TWh. Both ends are the project's own choice."""

ROLLOVER_FROM = 0.9
"""Share of the modulus from which on a register stands just below it: the last turn of its first dial. Lower down, a
fall is a reset even where the rated power would allow a rollover. The project's own choice."""

SUSPECTS_AT_MOST = 1_000
"""Suspects of one register that wait together; where a further one comes, they go to quarantine. Ten days of quarter
hours: the project's own choice."""
