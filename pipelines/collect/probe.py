"""Whether a source is there and has what the community file names: for `slotfeed check --connect`."""

from collections.abc import Iterable

from pipelines.collect.database.probe import probe_database
from pipelines.collect.run import Opening, open_source
from pipelines.collect.source import Device
from pipelines.community import MeterDatabase, Stream, resolve_sqlite_path
from pipelines.errors import AccountStopped, AuthenticationError, ConfigurationError, Issue, SlotfeedError, Topic
from pipelines.settings import database_url, source_password


def probe(name: str, opening: Opening) -> list[Issue]:
    """Connect to a source, and see that it has the devices that the file's streams name.

    Returns:
        What is wrong; nothing where all is well.
    """
    settings = opening.community.sources[name]
    where = f"source '{name}'"
    if isinstance(settings, MeterDatabase):
        try:
            url = database_url(
                resolve_sqlite_path(settings.url, opening.folder), source_password(name), opening.secrets, where=where
            )
        except ConfigurationError as error:
            return list(error.issues)
        return probe_database(name, settings, url)
    try:
        with open_source(name, opening) as source:
            found = {device.device: device for device in source.devices()}
    except ConfigurationError as error:
        return list(error.issues)
    except SlotfeedError as error:
        return [_issue(where, error, source_password(name)[0])]
    streams = [s for s in opening.community.streams().values() if s.source == name]
    return list(_absent(where, streams, found))


def _absent(where: str, streams: Iterable[Stream], found: dict[str, Device]) -> Iterable[Issue]:
    for stream in streams:
        device = found.get(stream.device)
        if device is None:
            known = ", ".join(sorted(found)[:6]) or "none"
            yield Issue(
                where=where,
                field="device",
                problem=f"the account has no device {stream.device}",
                remedy=f"Known: {known}{' and more' if len(found) > 6 else ''}",
                topic=Topic.STREAM_ABSENT,
                concerns=stream.stream_id,
            )
        elif stream.register_ not in device.registers:
            yield Issue(
                where=where,
                field="register",
                problem=f"device {stream.device} has no register {stream.register_}",
                remedy=f"Known: {', '.join(device.registers) or 'none'}",
                topic=Topic.STREAM_ABSENT,
                concerns=stream.stream_id,
            )


def _issue(where: str, error: SlotfeedError, secret: str) -> Issue:
    field, remedy = {
        AuthenticationError: ("", f"Check the user and {secret}"),
        AccountStopped: ("", "Mend what stopped it"),
    }.get(type(error), ("url", "Check the URL, and that this machine can reach it"))
    return Issue(where=where, field=field, problem=str(error).removeprefix(where).lstrip(":, ").strip(), remedy=remedy)
