"""`slotfeed metrics`, and the file that each run leaves for Prometheus."""

import logging
import shutil
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows import textfile
from flows.metrics_serve import Figures, serving
from flows.metrics_serve import Place as Served
from flows.textfile import METRICS_FOLDER
from pipelines.clock import FixedClock
from pipelines.metrics.sample import Sample, sample
from pipelines.settings import Secrets
from pipelines.store import Store
from tests.conftest import small_community
from tests.flows.places import FIRST_RUN, PASSWORD, Place

Command = Callable[..., tuple[int, str]]
AT = FIRST_RUN.isoformat()


def read(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) -> value."""
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_each_run_leaves_a_file_and_the_commands_tell_the_same(
    place: Place, slotfeed: Command, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    collector = tmp_path_factory.mktemp("collector")
    monkeypatch.setenv(METRICS_FOLDER[0], str(collector))
    assert slotfeed("feed", "--at", AT)[0] == 0
    [file] = collector.glob("*.prom")
    assert file.name == f"slotfeed-{place.community.community.simulation_uuid}.prom"
    name = "LV1.111 community"
    left = read(file.read_text())
    assert left["slotfeed_submissions_total", name, "accepted"] == 36
    assert left["slotfeed_slot_values_taken", name, "coming"] == 36
    assert left["slotfeed_runs_total", name, "feed", "ok"] == 1
    # A quarter hour less the two minutes that had passed: all of them between 12 and 14 minutes before the deadline.
    assert left["slotfeed_delivery_margin_seconds_bucket", name, "720"] == 0
    assert left["slotfeed_delivery_margin_seconds_bucket", name, "840"] == 36
    assert {key[4] for key in left if key[:4] == ("slotfeed_last_stage_duration_seconds", name, "feed", "1/1")} == {
        "collect",
        "validate",
        "convert",
        "deliver",
    }
    assert PASSWORD not in file.read_text()
    assert left["slotfeed_last_success_timestamp_seconds", name, "feed", "1/1"] == pytest.approx(
        FIRST_RUN.timestamp(), abs=120
    )

    # A second run counts on; what the watch has seen is there.
    assert slotfeed("feed", "--at", AT)[0] == 0
    assert slotfeed("watch", "--at", AT)[0] == 0
    left = read(file.read_text())
    assert left["slotfeed_runs_total", name, "feed", "ok"] == 2
    assert left["slotfeed_submissions_total", name, "accepted"] == 36
    assert abs(left["slotfeed_clock_offset_seconds", name]) < 120

    # By command: the same counters; what can't be read is told and is no matter to the others.
    (place.folder / "broken.yaml").write_text("community: [")
    status, text = slotfeed("metrics", "show", place.folder / "community.yaml")
    assert status == 0
    shown = read(text)
    counters = [key for key in left if key[0].endswith("_total")]
    assert counters
    assert {key: shown[key] for key in counters} == {key: left[key] for key in counters}
    status, text = slotfeed("metrics", "show", place.folder / "*.yaml")
    assert status == 1
    assert 'slotfeed_up{community="broken"} 0.0' in text
    assert 'slotfeed_up{community="LV1.111 community"} 1.0' in text

    # A folder that is gone costs the run nothing.
    shutil.rmtree(collector)
    status, _ = slotfeed("watch", "--at", AT)
    assert status == 0


def test_prometheus_is_answered_whatever_becomes_of_the_store(
    place: Place, slotfeed: Command, caplog: pytest.LogCaptureFixture
) -> None:
    assert slotfeed("feed", "--at", AT)[0] == 0
    twin = place.folder / "twin.yaml"
    shutil.copy(place.file, twin)
    figures = Figures(places=[Served(place.file), Served(twin)], clock=FixedClock(FIRST_RUN), fresh_s=0.0)
    with serving(figures, host="127.0.0.1", port=0) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        # Two of one name are told apart, for the same series twice would spoil the answer.
        names = {key[1] for key in read(http.get("/metrics").text) if key[0] == "slotfeed_up"}
        assert names == {f"LV1.111 community ({place.file})", f"LV1.111 community ({twin})"}
        twin.write_text(place.file.read_text().replace("LV1.111", "LV2.222"))
        found = read(http.get("/metrics").text)
        assert found["slotfeed_runs_total", "LV1.111 community", "feed", "ok"] == 1
        assert found["slotfeed_runs_total", "LV2.222 community", "feed", "ok"] == 1
        # Its store is away for a while.
        text = twin.read_text()
        with caplog.at_level(logging.WARNING, logger="slotfeed"):
            twin.write_text(text.replace("slotfeed.sqlite", "no/such/folder.sqlite"))
            found = read(http.get("/metrics").text)
        assert (found["slotfeed_up", "LV2.222 community"], found["slotfeed_up", "LV1.111 community"]) == (0, 1)
        assert ("slotfeed_runs_total", "LV2.222 community", "feed", "ok") not in found
        assert "folder" in caplog.text
        twin.write_text(text)
        assert read(http.get("/metrics").text)["slotfeed_up", "LV2.222 community"] == 1
        # Several ask at once.
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda: answers.append(httpx.get(f"http://127.0.0.1:{port}/metrics").text))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [read(text)["slotfeed_up", "LV1.111 community"] for text in answers] == [1, 1, 1, 1]


@pytest.mark.parametrize("listen", ["9464", "127.0.0.1:", "127.0.0.1:99999", ":9464"])
def test_an_address_that_is_none_is_told(listen: str, slotfeed: Command, tmp_path: Path) -> None:
    status, told = slotfeed("metrics", "serve", tmp_path, "--listen", listen)
    assert status == 1
    assert f"'{listen}' is no address" in told


def test_who_reads_later_writes_later(
    tmp_path: Path, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> None:
    """Runs that end at once: were the first to read the last to write, counters in the file would fall."""
    first_reads, go_on, second_reads = threading.Event(), threading.Event(), threading.Event()
    order: list[str] = []

    def read(*_: object, **__: object) -> list[Sample]:
        name = threading.current_thread().name
        order.append(f"{name} reads")
        if name == "second":
            second_reads.set()
            return [sample("up", 2)]
        first_reads.set()
        assert go_on.wait(30)
        return [sample("up", 1)]

    monkeypatch.setattr(textfile, "read_figures", read)
    monkeypatch.setenv(METRICS_FOLDER[0], str(tmp_path))
    community, secrets = small_community("rest"), Secrets(tmp_path)

    def leave() -> None:
        textfile.leave_textfile(sqlite_store, community, tmp_path, secrets, now=noon)

    threads = [threading.Thread(target=leave, name=name) for name in ("first", "second")]
    threads[0].start()
    assert first_reads.wait(30)
    threads[1].start()
    # It waits for the first; without the lock it would read at once.
    assert not second_reads.wait(0.3)
    go_on.set()
    for thread in threads:
        thread.join()
    assert order == ["first reads", "second reads"]
    assert 'slotfeed_up{community="Small"} 2.0' in (tmp_path / textfile.file_name(community)).read_text()
