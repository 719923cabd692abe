"""The web page without a browser: who sees what, in which numbers, and what a form may do."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from pipelines.clock import FixedClock
from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.app import create_app
from pipelines.sandbox.exchange.ctn import Ctn, open_ctn
from pipelines.sandbox.exchange.pages.charts import bars, sparkline
from pipelines.sandbox.exchange.pages.overview import Days, Source, activity
from pipelines.sandbox.exchange.ways_in import read_origin

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
ADMIN = {"username": "feeder@example.org", "password": "correct horse battery"}
HERE = "http://sandbox"


@pytest.fixture
async def web(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that isn't logged in."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE, headers={"Origin": HERE}) as client:
        yield client


async def enter(web: httpx.AsyncClient, username: str = ADMIN["username"], password: str | None = None) -> None:
    password = password or (ADMIN["password"] if username == ADMIN["username"] else f"{username} has a password")
    answer = await web.post("/login", data={"username": username, "password": password})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def text_of(html: str) -> str:
    """What a reader sees of a piece of the page, in one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def rows(html: str, table: str) -> dict[str, list[str]]:
    """First cell -> the cells after it, of the body of a table."""
    body = html.partition(f'<table id="{table}">')[2].partition("<tbody>")[2].partition("</table>")[0]
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")]
    return {text_of(cells[0]): [text_of(cell) for cell in cells[1:]] for cells in found if cells}


async def test_nobody_sees_anything_without_a_login(web: httpx.AsyncClient) -> None:
    for path in ("/", "/assets/load", "/assets/unknown", "/markets", "/audit"):
        answer = await web.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
    assert (await web.get("/login")).status_code == 200


async def test_the_session_is_out_of_reach_of_scripts_and_other_sites(web: httpx.AsyncClient) -> None:
    answer = await web.post("/login", data=ADMIN)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "max-age" not in cookie.lower(), "it ends with the browser, or with the token"
    page = await web.get("/")
    assert page.status_code == 200
    assert "script" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


async def test_the_api_does_not_look_at_the_cookie(web: httpx.AsyncClient) -> None:
    await enter(web)
    assert (await web.get("/manage/me")).status_code == 401


@pytest.mark.parametrize("origin", ["http://sandbox:81", "http://evil.example", "null", "", "https://sandbox"])
@pytest.mark.parametrize("path", ["/login", "/logout"])
async def test_a_form_sent_from_elsewhere_does_nothing(web: httpx.AsyncClient, origin: str, path: str) -> None:
    answer = await web.post(path, data=ADMIN, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_form_without_an_origin_does_nothing(web: httpx.AsyncClient) -> None:
    del web.headers["Origin"]
    assert (await web.post("/login", data=ADMIN)).status_code == 403


async def test_logging_out_ends_it(web: httpx.AsyncClient) -> None:
    await enter(web)
    answer = await web.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert (await web.get("/")).status_code == 303


async def test_the_session_ends_with_its_token(web: httpx.AsyncClient, clock: FixedClock) -> None:
    await enter(web)
    clock.set(clock.now() + timedelta(minutes=59))
    assert (await web.get("/")).status_code == 200
    clock.set(clock.now() + timedelta(minutes=1))
    assert (await web.get("/")).status_code == 303


async def test_guessing_is_slowed_down_and_noted_as_at_the_api(web: httpx.AsyncClient, ctn: Ctn) -> None:
    for _ in range(5):
        wrong = await web.post("/login", data=ADMIN | {"password": "hunter2"})
        assert wrong.status_code == 401
        assert "No active account found with the given credentials" in wrong.text
        assert "hunter2" not in wrong.text
    throttled = await web.post("/login", data=ADMIN)
    assert throttled.status_code == 429
    assert throttled.headers["retry-after"] == "300"
    assert "Expected available in 300 seconds." in throttled.text
    assert (await web.post("/api-token-auth/", json=ADMIN)).status_code == 429, "one count for both doors"
    noted = [(line.username, line.action, line.outcome) for line in ctn.audit.lines(limit=9)]
    assert noted == [("feeder@example.org", "login", "refused")] * 5


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"username", b"username=%ed%a0%80&password=%00", b"{}", b"username=a&username=b&password="],
)
async def test_an_odd_form_is_a_wrong_login(web: httpx.AsyncClient, body: bytes) -> None:
    answer = await web.post("/login", content=body)
    assert answer.status_code == 401


async def test_a_form_may_not_be_large(web: httpx.AsyncClient) -> None:
    assert (await web.post("/login", content=b"a" * (16 << 10))).status_code == 401
    assert (await web.post("/login", content=b"a" * ((16 << 10) + 1))).status_code == 413
    assert (await web.post("/login", content=b"&".join([b"a=1"] * 11))).status_code == 400


async def test_the_table_holds_what_was_posted(exchange: Any, web: httpx.AsyncClient) -> None:
    await exchange.forecast("load", {"12:15": 0.25, "12:30": 0.5})
    await exchange.send_wh("pv", 1500)
    await exchange.at("12:16")
    await exchange.forecast("load", {"12:45": 1000.0})
    await exchange.at("12:31")
    await enter(web)
    html = (await web.get("/")).text
    told = rows(html, "assets")
    assert list(told) == ["Flat", "Meter", "Roof"], "by name"
    #                   type    market   switch trades        profile  slot     day
    assert told["Flat"][:6] == ["Load", "House", "on", "by template", "no", "0.500"]
    assert told["Flat"][6:] == ["0.750", "feeder@example.org 2026-03-02 12:16:00", "2"]
    assert told["Roof"][5:] == ["1.500", "3.000", "feeder@example.org 2026-03-02 12:01:00", "1"]
    assert told["Meter"][2:3] == ["on (not used for this type)"]
    assert told["Meter"][5:] == ["0.000", "0.000", "nobody", "0"]
    assert "2026-03-02 12:31:00" in text_of(html)


async def test_the_filter_looks_at_names_types_and_markets(web: httpx.AsyncClient) -> None:
    await enter(web)
    found = {}
    for wanted in ("roof", "pv", "house load", "HOUSE", "pv load", "<b>&"):
        found[wanted] = list(rows((await web.get("/", params={"filter": wanted})).text, "assets"))
    assert found == {
        "roof": ["Roof"],
        "pv": ["Roof"],
        "house load": ["Flat"],
        "HOUSE": ["Flat", "Meter", "Roof"],
        "pv load": [],
        "<b>&": [],
    }
    assert "<b>" not in (await web.get("/", params={"filter": "<b>&"})).text


async def test_the_page_of_an_asset_tells_slot_by_slot(exchange: Any, web: httpx.AsyncClient, ctn: Ctn) -> None:
    await exchange.forecast("load", {"12:15": 0.25})
    await exchange.send_wh("load", 100)
    await exchange.at("12:17")
    await exchange.measure("load", {"12:00": 0.3})
    ctn.market.upload(
        "load", "\n".join(["INTERVAL,ENERGY", "00:00,7", "12:45,0.9"]), "ENERGY_KWH", by="o", at=ctn.clock.now()
    )
    ctn.market.switch("load", live=False)
    ctn.market.switch("load", live=True)
    await exchange.at("12:32")
    ctn.market.switch("load", live=False)
    await exchange.at("12:46")
    await enter(web)
    html = (await web.get("/assets/load")).text
    told = rows(html, "slots")
    me, noon = "feeder@example.org", "2026-03-02 "
    assert told[noon + "12:45"] == ["0.900", "profile", "o", noon + "12:17:00", "", "", ""]
    assert told[noon + "12:30"] == ["0.100", "repeated", me, noon + "12:01:00", "", "", ""]
    assert told[noon + "12:15"] == ["0.250", "forecast", me, noon + "12:01:00", "", "", ""]
    assert told[noon + "12:00"] == ["0.000", "nothing", "", "", "0.300", me, noon + "12:17:00"]
    assert told[noon + "11:45"] == ["0.000", "not running", "", "", "", "", ""]
    assert len(told) == 96
    assert next(iter(told)) == noon + "12:45"
    assert html.count("<rect class=") - 3 == 3, "three bars beside the legend's squares"
    assert "1.250 kWh" in text_of(html)


async def test_everybody_sees_what_is_theirs(
    web: httpx.AsyncClient, new_user: Callable[..., Awaitable[str]], ctn: Ctn
) -> None:
    async def seen(path: str) -> int:
        return (await web.get(path)).status_code

    await new_user("owner", Role.OWNER)
    await new_user("resident", Role.USER, "load")
    await new_user("trader", Role.AGGREGATOR, "pv")
    await new_user("grid", Role.GRID_OPERATOR, "area-house")
    pages = ("/", "/assets/load", "/assets/pv", "/markets", "/audit")
    expected = {
        "owner": [200, 200, 200, 200, 200],
        "resident": [200, 200, 403, 403, 403],
        "trader": [200, 403, 200, 403, 403],
        "grid": [303, 403, 403, 200, 403],
    }
    for name, statuses in expected.items():
        await enter(web, name)
        assert [await seen(path) for path in pages] == statuses, name
    assert list(rows((await web.get("/markets")).text, "markets")) == ["House area-house"]
    assert "Flat" not in (await web.get("/markets")).text
    await enter(web, "resident")
    html = (await web.get("/")).text
    assert list(rows(html, "assets")) == ["Flat"]
    assert "Roof" not in html
    refused = await web.get("/assets/pv")
    assert "This isn't yours to see." in refused.text.replace("&#39;", "'")
    tried = {(line.username, line.action, line.subject) for line in ctn.audit.lines(limit=99)}
    assert {("resident", "page-asset", "pv"), ("grid", "page-audit", "")} <= tried
    unknown = await web.get("/assets/nobody")
    assert unknown.status_code == 404
    assert "There is no such page." in unknown.text


async def test_only_who_manages_sees_the_connections_of_others(
    web: httpx.AsyncClient, new_user: Callable[..., Awaitable[str]]
) -> None:
    await new_user("resident", Role.USER, "load")
    await new_user("trader", Role.AGGREGATOR, "load")
    await enter(web, "resident")
    assert "trader" not in (await web.get("/assets/load")).text
    await enter(web)
    assert "trader" in (await web.get("/assets/load")).text


async def test_markets_tell_fees_and_the_last_slot(exchange: Any, web: httpx.AsyncClient) -> None:
    await exchange.http.post(f"/external-connection/api/{SIMULATION}/area-house/grid-fee/", json={"fee_const": 1.5})
    await exchange.forecast("load", {"12:15": 2.0})
    await exchange.forecast("pv", {"12:15": 0.5})
    await exchange.at("12:31")
    await enter(web)
    told = rows((await web.get("/markets")).text, "markets")
    # fee, %, traded, lowest, mean, highest rate; half way between 8 and 30 ct/kWh
    assert told["House area-house"][:6] == ["1.500", "0.000", "0.500", "19.000", "19.000", "19.000"]
    assert told["Grid area-grid"][0] == "0.000"


async def test_the_audit_log_is_told_part_by_part(web: httpx.AsyncClient, ctn: Ctn) -> None:
    for number in range(150):
        ctn.audit.note("<i>x</i>", "switch-live", f"subject {number:03}", "on")
    await enter(web)
    first = (await web.get("/audit")).text
    assert re.findall(r"subject \d+", first) == [f"subject {n:03}" for n in range(149, 49, -1)]
    assert "<i>" not in first
    older = re.search(r'href="(/audit\?before=\d+)"', first)
    assert older
    assert re.findall(r"subject \d+", (await web.get(older[1])).text) == [f"subject {n:03}" for n in range(49, -1, -1)]


async def test_a_name_does_no_harm(config: dict[str, Any], registry_file: Any, clock: FixedClock) -> None:
    evil = '"><script>alert(1)</script>{{ 7*7 }}'
    leaf = {"name": evil, "type": "Load", "uuid": "a/b?c#d %25 ü", "children": None}
    config["name"] = config["registry"]["name"] = evil
    config["registry"]["children"] = [leaf]
    registry_file.write_text(json.dumps(config))
    ctn = open_ctn(twin=read_origin(registry_file).twin, clock=clock, admin=(ADMIN["username"], ADMIN["password"]))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(ctn)), base_url=HERE, headers={"Origin": HERE}
    ) as web:
        await enter(web)
        html = (await web.get("/")).text
        link = re.search(r'href="(/assets/[^"]+)"', html)
        assert link
        for page in (html, (await web.get(link[1])).text, (await web.get("/markets")).text):
            assert "<script" not in page
            assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in page
    ctn.close()


async def test_ten_thousand_assets_come_in_parts(config: dict[str, Any], registry_file: Any, clock: FixedClock) -> None:
    children = [{"name": f"Flat {n:05}", "type": "Load", "uuid": f"u{n}", "children": None} for n in range(10_000)]
    config["registry"]["children"] = children
    registry_file.write_text(json.dumps(config))
    ctn = open_ctn(twin=read_origin(registry_file).twin, clock=clock, admin=(ADMIN["username"], ADMIN["password"]))
    for number in range(10_000):
        ctn.market.forecast(f"u{number}", {clock.now().replace(minute=15): number}, by="x", at=clock.now())
    clock.set(clock.now() + timedelta(minutes=15))
    asked = []
    event.listen(ctn.ledger._engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(ctn)), base_url=HERE, headers={"Origin": HERE}
    ) as web:
        await enter(web)
        asked.clear()
        last = (await web.get("/", params={"page": 100})).text
        assert len(asked) < 30, "not a query an asset"
        told = rows(last, "assets")
        assert list(told) == [f"Flat {n:05}" for n in range(9_900, 10_000)]
        assert told["Flat 09999"][5] == "9,999.000"
        assert "Page 100 of 100" in last
        for odd in ("0", "-1", "x", "٣", "9" * 400, ""):
            assert (await web.get("/", params={"page": odd})).status_code == 200
    ctn.close()


def test_energies_of_many_assets_are_those_that_history_tells_one_by_one(ctn: Ctn, clock: FixedClock) -> None:
    for step in range(120):
        slot = ctn.market.slot
        later = [slot + n * timedelta(minutes=15) for n in (1, 3)]
        if step % 3:
            ctn.market.forecast("load", {each: step + n / 10 for n, each in enumerate(later)}, by="a", at=clock.now())
        if step % 5 == 0:
            ctn.market.repeated_forecast("load", step * 100.0, by="b", at=clock.now())
            ctn.market.repeated_forecast("pv", step * 10.0, by="b", at=clock.now())
        if step in {10, 60, 90}:
            text = f"INTERVAL,ENERGY\n00:00,{step}\n06:00,{step + 1}"
            ctn.market.upload("pv", text, "ENERGY_KWH", by="c", at=clock.now())
        if step % 7 == 0:
            ctn.market.switch("pv", live=step % 14 == 0)
        clock.set(clock.now() + timedelta(minutes=15))
        ctn.advance()
    end = ctn.market.slot + timedelta(minutes=15)
    start = end - timedelta(days=1)
    assets = list(ctn.twin.assets.values())
    used = asyncio.run(Days(ctn).used(assets, start, end))
    for asset in assets:
        told = {slot.slot: slot.energy_kwh for slot in used[asset.uuid]}
        assert told == ctn.market.profile(asset.uuid, start, end), asset.name
    sources = {slot.source for slot in used["load"] + used["pv"]}
    assert (
        sources == {Source.FORECAST, Source.REPEATED, Source.PROFILE, Source.NOTHING} or Source.NOTHING not in sources
    )


def test_the_last_post_is_the_latest_whatever_its_slot(ctn: Ctn, clock: FixedClock) -> None:
    start, minute, slot = clock.now(), timedelta(minutes=1), timedelta(minutes=15)
    # The earlier one is for the later slot.
    ctn.market.forecast("load", {ctn.market.slot + 3 * slot: 1.0}, by="first", at=start)
    ctn.market.repeated_forecast("load", 1.0, by="second", at=start + minute)
    ctn.market.forecast("load", {ctn.market.slot + slot: 1.0}, by="third", at=start + 2 * minute)
    clock.set(start + slot)
    ctn.advance()
    told = activity(ctn, ["load", "pv"])
    assert (told["load"].by, told["load"].at, told["load"].posts) == ("third", start + 2 * minute, 3)
    assert (told["pv"].by, told["pv"].at, told["pv"].posts) == (None, None, 0)
    clock.set(start + 10 * slot * 24)
    ctn.advance()
    later = activity(ctn, ["load"])["load"]
    assert (later.at is not None, later.posts) == (True, 0), "long ago, but not forgotten"


async def test_the_api_is_described_on_one_page(web: httpx.AsyncClient, app: FastAPI) -> None:
    html = (await web.get("/docs")).text
    text = text_of(html)
    document = app.openapi()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in text
    assert "At most 16 MiB" in html
    assert "At most 1 MiB" in html
    assert "413" in html
    assert 'href="/sandbox/openapi.json"' in html
    assert "&#34;energy_Wh&#34;: 0.25" in html, "an example of a body"
    assert "at least 12 characters" in html, "limits of a model's keys"
    for word in (
        "/external-ws/{sim}/{uuid}/",
        "/external-ws/{sim}/aggregator/{uuid}/",
        "grid_tree",
        "selected_by_device",
    ):
        assert word in html
    assert "<link" not in html.replace('<link rel="icon" href="data:,">', "")


async def test_every_key_that_listeners_are_told_is_described(exchange: Any, web: httpx.AsyncClient, ctn: Ctn) -> None:
    api = f"/external-connection/aggregator-api/{SIMULATION}"
    aggregator = (await exchange.http.post(f"{api}/create-aggregator/", json={"name": "A"})).json()["uuid"]
    await exchange.command("pv", "register", {})
    boxes = [ctn.hub.join(aggregator), ctn.hub.join("pv")]
    pair = {"aggregator_uuid": aggregator, "device_uuid": "load"}
    await exchange.http.post(f"{api}/select-aggregator/", json=pair)
    batch = {"load": [{"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 1}}]}
    await exchange.http.post(f"{api}/batch-commands/", json={"aggregator_uuid": aggregator, "batch_commands": batch})
    await exchange.at("12:15")
    await exchange.at("12:17")
    ctn.finish()
    html = (await web.get("/docs")).text
    heard = set()
    for box in boxes:
        while box._messages.qsize():
            told = json.loads(await box.take())
            heard.add(told.get("event", told.get("command")))
            for key in told.keys() - {"registered", "device_uuid"}:
                assert f"&#34;{key}&#34;" in html, key
    assert {"market", "tick", "finish", "selected_by_device", "batch_commands"} <= heard
    await enter(web)
    assert "Listeners 2" in text_of((await web.get("/")).text)


async def test_the_pages_leave_no_trace_in_the_journal_and_meet_no_fault(exchange: Any, web: httpx.AsyncClient) -> None:
    await exchange.faults({"do": "status", "status": 503})
    await enter(web)
    assert (await web.get("/")).status_code == 200
    assert (await web.get("/assets/load")).status_code == 200
    assert not [entry for entry in await exchange.journal() if not entry["path"].startswith("/api-token")]


@given(st.lists(st.floats(min_value=0, allow_nan=False, allow_infinity=False), max_size=300))
def test_drawings_stay_in_their_frame(values: list[float]) -> None:
    heights = [float(found) for found in re.findall(r"V([\d.e+-]+)h1", sparkline(values))]
    assert all(0 <= height <= 24 for height in heights)
    assert len(heights) == (0 if not any(values) else min(len(values), -(-len(values) // -(-len(values) // 96))))
    drawn = bars(values)
    assert all(0 <= bar.y <= 160 and 0 <= bar.height <= 160 for bar in drawn)
    if any(values):
        assert max(bar.height for bar in drawn) == 160
        assert min(heights) == 0
