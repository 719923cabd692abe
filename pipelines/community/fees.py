"""Grid fees over the day, market by market."""

from pydantic import Field

from pipelines.community.basics import Name, Strict, TimeOfDay, Weekday


class FeeSpan(Strict):
    """A stretch of the day with a grid fee of its own."""

    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay
    """Itself not included; earlier than `from`, it is on the next day, and equal to it, the span lasts a day."""

    days: tuple[Weekday, ...] = Field(default=(), max_length=7)
    """On which `from` lies; none: every day."""

    cents_per_kwh: float = Field(ge=0)


class MarketFees(Strict):
    """The grid fee of one market of the exchange, over the day in local time."""

    market: Name
    """Its name at the exchange."""

    uuid: Name
    cents_per_kwh: float = Field(ge=0)
    """Where no span says otherwise."""

    schedule: tuple[FeeSpan, ...] = ()
    """The first span that holds the present counts."""
