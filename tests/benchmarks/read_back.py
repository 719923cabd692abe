"""How long it takes to read a day of every asset back over HTTP."""

import json
import tempfile
import time
from pathlib import Path

import httpx
from pydantic import SecretStr

from pipelines.clock import WallClock
from pipelines.exchange import open_exchange, read_energy
from pipelines.sandbox.exchange.process import exchange_process
from tests.benchmarks.reconcile_data import END, SIMULATION, SLOT, START, uuid_of

CONCURRENCY = 20
USERNAME, PASSWORD = "bench", "bench"


async def read_over_http(assets: int) -> tuple[int, float]:
    """Values and seconds, from an exchange that has just lived the day."""
    leaves = [{"name": f"Load {number}", "type": "Load", "uuid": uuid_of(number)} for number in range(assets)]
    registry = {
        "username": USERNAME,
        "name": "Bench",
        "uuid": SIMULATION,
        "domain_name": "http://127.0.0.1",
        "web_socket_domain_name": "ws://127.0.0.1",
        "global_settings": {"slot_length": "15m"},
        "registry": {"name": "Grid", "type": "Area", "uuid": "grid", "children": leaves},
    }
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "registry.json"
        source.write_text(json.dumps(registry))
        with exchange_process(source, username=USERNAME, password=PASSWORD, clock_start=START - SLOT) as url:
            async with httpx.AsyncClient(base_url=url, timeout=600) as control:
                over = {"now": (END + SLOT).isoformat()}
                (await control.put("/sandbox/clock", json=over)).raise_for_status()
            async with open_exchange(
                base_url=url,
                username=SecretStr(USERNAME),
                password=SecretStr(PASSWORD),
                clock=WallClock(),
                concurrency=CONCURRENCY,
            ) as client:
                await client.connect()
                began = time.perf_counter()
                read = await read_energy(
                    client,
                    simulation=SIMULATION,
                    assets=[uuid_of(number) for number in range(assets)],
                    start=START,
                    end=END,
                    concurrency=CONCURRENCY,
                )
                seconds = time.perf_counter() - began
    if read.failed or read.unknown:
        raise RuntimeError(f"not all could be read: {len(read.failed)} failed, {len(read.unknown)} unknown")
    return sum(map(len, read.energy_wh.values())), seconds
