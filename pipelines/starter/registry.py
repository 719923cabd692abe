"""A community file from GSy's simulation config."""

from urllib.parse import urlsplit

from pipelines.errors import ConfigurationError, Issue
from pipelines.gsy_files.config import SimulationConfig
from pipelines.starter.parts import HEAD, LIVE, SOURCES, Entry, LeftOut, asset_sections, left_out_comments, quoted

COEFFICIENTS = 3
"""`spot_market_type` of a community that shares by coefficients."""

COEFFICIENT_WARNING = """\
# Careful: this community shares by coefficients (spot_market_type 3). The exchange takes live data for it in
# another way, which slotfeed doesn't speak.
"""


def yaml_from_registry(config: SimulationConfig, *, origin: str) -> str:
    """A community file with each asset of the registry that takes live data.

    What the registry can't know (rated power, streams, the meter database) stands as `null`, marked
    "fill in"; `slotfeed check` names each of them as a fault. Assets that take no live data stand
    as comments, with the reason.

    Args:
        config: the simulation config.
        origin: what to call it in the file's first line and in messages, such as its file name.

    Raises:
        ConfigurationError: no asset in it takes live data.
    """
    leaves = list(config.registry.leaves())
    entries = [Entry(name=one.name, uuid=one.uuid, type=LIVE[one.type]) for one in leaves if one.type in LIVE]
    others = [LeftOut(name=one.name, uuid=one.uuid, kind=one.type) for one in leaves if one.type not in LIVE]
    if not entries:
        problem, remedy = "there is no Load and no PV in it", "Add the members' assets at the exchange first"
        raise ConfigurationError([Issue(where=origin, field="registry", problem=problem, remedy=remedy)])
    text = HEAD.format(origin=quoted(origin))
    if config.spot_market_type == COEFFICIENTS:
        text += COEFFICIENT_WARNING
    text += (
        f"\ncommunity:\n  name: {quoted(config.name)}\n  simulation_uuid: {quoted(config.uuid)}\n"
        f"  slot_length: {config.slot_length.seconds // 60}\n\n"
        f"exchange:\n  base_url: {quoted(_base_url(config.domain_name))}\n"
    )
    return text + SOURCES + "".join(asset_sections(entries)) + "".join(left_out_comments(others, where="registry"))


def _base_url(domain_name: str) -> str:
    """The address with its scheme; GSy's files are seen with and without one (`localhost`)."""
    name = domain_name.strip().rstrip("/")
    if "://" in name:
        return name
    host = urlsplit(f"//{name}").hostname
    return f"http://{name}" if host in {"localhost", "127.0.0.1"} else f"https://{name}"
