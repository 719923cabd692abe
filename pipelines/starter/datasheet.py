"""A community file from GSy's community data sheet.

The sheet names the assets and their streams ("Datastream ID"), but carries no uuid of the exchange: those come from
its registry, by the assets' names.
"""

from collections.abc import Iterator

from pipelines.community import AssetType
from pipelines.errors import ConfigurationError, Issue
from pipelines.gsy_files.datasheet import DataSheet
from pipelines.starter.parts import HEAD, SOURCES, Entry, LeftOut, asset_sections, left_out_comments, quoted

SYNC = """\
# The uuids come from the exchange, by the assets' names: write simulation_uuid, set the secrets of the exchange, then
# run: slotfeed assets sync
"""

COMMUNITY = """
community:
  name: null                # fill in: the community's name
  simulation_uuid: null     # fill in: after /results/ in the address of the exchange's page
  slot_length: {minutes}

exchange:
  base_url: https://gsyweb.gridsingularity.com
"""


def yaml_from_datasheet(sheet: DataSheet, *, origin: str) -> str:
    """A community file with each asset of the sheet that takes live data.

    A PV plant's capacity is its rated power, and a datastream id the device of its stream. What the sheet can't know
    stands as `null`, marked "fill in"; storages and heat pumps stand as comments, with the reason.

    Args:
        sheet: the data sheet.
        origin: what to call it in the file's first line and in messages, such as its file name.

    Raises:
        ConfigurationError: no asset in it takes live data.
    """
    entries = list(_entries(sheet))
    if not entries:
        problem, remedy = "there is no load and no PV in it", "Name the members' assets in the sheets Load and PV"
        raise ConfigurationError([Issue(where=origin, field="", problem=problem, remedy=remedy)])
    head = HEAD.format(origin=quoted(origin)) + SYNC
    head += COMMUNITY.format(minutes=int(sheet.slot_length.total_seconds()) // 60)
    others = left_out_comments(_others(sheet), where="data sheet")
    return head + SOURCES + "".join(asset_sections(entries)) + "".join(others)


def _entries(sheet: DataSheet) -> Iterator[Entry]:
    for load in sheet.loads:
        yield Entry(name=load.name, type=AssetType.LOAD, device=load.datastream_id)
    for pv in sheet.pvs:
        yield Entry(name=pv.name, type=AssetType.PV, device=pv.datastream_id, rated_power_kw=pv.capacity_kw)


def _others(sheet: DataSheet) -> Iterator[LeftOut]:
    for storage in sheet.storages:
        yield LeftOut(name=storage.name, kind="Storage")
    for heat_pump in sheet.heat_pumps:
        yield LeftOut(name=heat_pump.name, kind="HeatPump")
