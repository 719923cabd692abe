"""Where the exchange's websockets are: `{address}/{simulation}/{uuid}/`, an aggregator's one level deeper."""

from urllib.parse import quote

from pipelines.community import ExchangeSection


def websocket_address(section: ExchangeSection) -> str:
    """The websockets' common address, without a trailing slash: as written, or `/external-ws` beside the base URL."""
    if section.websocket_url is not None:
        return section.websocket_url.rstrip("/")
    scheme, _, rest = section.base_url.partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest.rstrip('/')}/external-ws"


def aggregator_url(section: ExchangeSection, simulation: str, aggregator_uuid: str) -> str:
    """Socket on which an aggregator hears of its assets, and the answers to its batches."""
    return f"{websocket_address(section)}/{quote(simulation, safe='')}/aggregator/{quote(aggregator_uuid, safe='')}/"


def asset_url(section: ExchangeSection, simulation: str, uuid: str) -> str:
    """Socket on which one asset or market is told its events, and the answers to its commands."""
    return f"{websocket_address(section)}/{quote(simulation, safe='')}/{quote(uuid, safe='')}/"
