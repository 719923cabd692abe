"""Times as people type them on the command line."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines.errors import ConfigurationError, Issue


def parse_moment(text: str, *, option: str, zone: str) -> datetime:
    """An instant in UTC from `2016-10-30T02:30+01:00`, `...Z`, a local time, or a date (its local midnight).

    Args:
        text: as typed.
        option: for messages: `--at`.
        zone: the community's, for what carries no offset.

    Raises:
        ConfigurationError: unreadable, or a local time that a clock change makes ambiguous or skips.
    """
    local = ZoneInfo(zone)
    try:
        if len(text) == len("2016-10-30"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=local).astimezone(UTC)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _fault(
            option, f"can't read {text!r}", "Write 2016-10-30, 2016-10-30T02:30 or 2016-10-30T02:30+01:00"
        ) from error
    if moment.tzinfo is None:
        first, second = (moment.replace(tzinfo=local, fold=fold).utcoffset() for fold in (0, 1))
        if first != second:
            raise _fault(option, f"{text} is no single time in {zone}: the clocks change", "Add an offset: ...+01:00")
        moment = moment.replace(tzinfo=local)
    return moment.astimezone(UTC)


def midnight(moment: datetime, zone: str, *, days_before: int) -> datetime:
    """The local midnight so many days before the day that `moment` lies in, in UTC."""
    day = moment.astimezone(ZoneInfo(zone)).date() - timedelta(days=days_before)
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def in_utc(moment: datetime) -> datetime:
    """The same instant in UTC; one without offset is taken for UTC, as the exchange does."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _fault(option: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Issue(where="command line", field=option, problem=problem, remedy=remedy)])
