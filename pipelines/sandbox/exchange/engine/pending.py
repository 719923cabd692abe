"""Commands that wait for the engine's next tick."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Answer = Mapping[str, object]
"""What a command is answered, as it stands in the JSON of a reply or of a websocket's frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One command. Both functions give the answer that is told; None: nothing is."""

    to: str
    """uuid of the asset, market or aggregator whose listeners get the answer."""

    serve: Callable[[], Answer | None]
    """Carries it out."""

    refuse: Callable[[], Answer | None]
    """What is told instead where the market cycle came first."""
