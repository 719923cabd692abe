"""Builds Great Expectations' Data Docs of one period: the index, a page for each suite and one for its validation.

They are made anew from the rows of the period, by the daily run, and replace the ones before. Great Expectations'
stores live in memory for that long, so neither they nor the site grow with the number of runs.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pipelines.community import Community
from pipelines.errors import TerminalError
from pipelines.validate.docs.examples import Rows
from pipelines.validate.docs.folder import replaced_whole
from pipelines.validate.docs.judged import Judged
from pipelines.validate.docs.offline import hungry_pages
from pipelines.validate.docs.words import days, local, period


def build_data_docs(
    judged: Sequence[Judged],
    folder: Path,
    *,
    community: Community,
    start: datetime,
    end: datetime,
    now: datetime,
    report_href: str = "../report.html",
) -> Path:
    """Judge the rows of a period and write Great Expectations' Data Docs about them.

    Args:
        judged: the suites with their rows, in the order of the index; none twice.
        folder: of the site. It is replaced whole or not at all; missing folders above it are made.
        community: the file; it names the assets, and local times are those of its zone.
        start: of the period.
        end: of the period.
        now: the run's logical time.
        report_href: where the quality report stands, from the index page.

    Returns:
        The index page.

    Raises:
        TerminalError: the folder can't be written, another run writes it, or Great Expectations left out a page.
    """
    from pipelines.validate.docs.session import Site, open_session  # noqa: PLC0415 - takes seconds

    zone = ZoneInfo(community.community.time_zone)
    names = {asset.asset_id: asset.name for asset in community.assets}
    first, last = days(start, end, zone)
    run_name = f"{first}" if first == last else f"{first}--{last}"
    site = Site(
        community=community.community.name,
        report_href=report_href,
        period=period(start, end, zone),
        made_at=local(now, zone),
        zone=zone.key,
    )
    expected = {"index.html"}
    with replaced_whole(folder) as fresh, open_session(run_name=run_name) as session:
        for one in judged:
            facts = session.judge(one, Rows(frame=one.rows, asset_names=names, zone=zone), now=now)
            expected |= {f"expectations/{one.suite}.html", facts.results_path}
        session.write(fresh, site)
        _make_sure(fresh, expected)
    return folder / "index.html"


def _make_sure(folder: Path, expected: set[str]) -> None:
    """Great Expectations leaves out what it can't render, and its templates fetch from elsewhere: neither may pass."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.html")}
    if absent := sorted(expected - found):
        raise TerminalError(f"Data Docs: Great Expectations left out {', '.join(absent)}; {UNTOUCHED}")
    for page, wanted in hungry_pages(folder).items():
        raise TerminalError(f"Data Docs: {page} would ask for {wanted[0]} when opened; {UNTOUCHED}")


UNTOUCHED = (
    "the former site stands as it was. Run the tests of pipelines/validate/docs: "
    "they tell what changed in Great Expectations"
)
