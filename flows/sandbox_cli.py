"""`slotfeed sandbox`: stand-ins for the outside world, on this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flows import screens
from flows.moments import parse_moment

sandbox = typer.Typer(no_args_is_help=True, help="Stand-ins for the outside world, on this machine.")

Driven = Annotated[
    str | None,
    typer.Option(help="Drive the clock by hand from this time on (PUT /sandbox/clock); default: real time."),
]


@sandbox.command("exchange")
def sandbox_exchange(
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="What it stands for: GSy's simulation config or scenario (JSON), a community data sheet (.xlsx) "
            "or a community.yaml; default: the demo community.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 8700,
    username: Annotated[str, typer.Option(help="Of its administrator.")] = "sandbox",
    database: Annotated[
        Path | None, typer.Option(help="SQLite file that outlives it; default: everything in memory.")
    ] = None,
    clock: Driven = None,
    tick: Annotated[
        float | None,
        typer.Option(
            help="Seconds between two ticks, at which commands are served; 0: at once. Default: 15, 0 by "
            "a driven clock."
        ),
    ] = None,
    lead: Annotated[float, typer.Option(help="Seconds its market slots begin early, by its own clock.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help='Something to go wrong, such as "do=status status=429 retry_after=3 probability=0.05".'),
    ] = None,
    token_lifetime: Annotated[float, typer.Option(help="Hours a token is good for.")] = 48,
) -> None:
    """Serve a local exchange; its administrator's password is SLOTFEED_EXCHANGE_PASSWORD, or `sandbox`."""
    import json
    import tempfile

    from pipelines.sandbox import demo_community
    from pipelines.sandbox.exchange import serve
    from pipelines.sandbox.exchange.faults import read_rule

    with tempfile.TemporaryDirectory() as folder:
        if source is None:
            source = Path(folder) / "registry.json"
            source.write_text(json.dumps(demo_community.registry_json()))
        serve.run(
            source=source,
            port=port,
            username=username,
            password=os.environ.get("SLOTFEED_EXCHANGE_PASSWORD", "sandbox"),
            database=database,
            clock_start=None if clock is None else parse_moment(clock, option="--clock", zone="UTC"),
            tick_s=tick,
            lead_s=lead,
            faults=[read_rule(text) for text in fault or ()],
            token_lifetime_s=token_lifetime * 3600,
        )


@sandbox.command("clouds")
def sandbox_clouds(
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 8800,
    username: Annotated[str, typer.Option(help="Of the one account that every vendor has.")] = "sandbox",
    clock: Driven = None,
    devices: Annotated[
        int | None, typer.Option(help="So many devices at every vendor; default: a part of the demo community.")
    ] = None,
) -> None:
    """Serve local vendor clouds; their secret is SLOTFEED_SANDBOX_SECRET, or `sandbox`."""
    from pipelines.sandbox.clouds import serve
    from pipelines.sandbox.clouds.app import vendors

    for name, vendor in vendors().items():
        screens.out.print(f"{name:<16} url: http://127.0.0.1:{port or '<port>'}{vendor.PREFIX}", highlight=False)
    serve.run(
        port=port,
        username=username,
        secret=os.environ.get("SLOTFEED_SANDBOX_SECRET", "sandbox"),
        clock_start=None if clock is None else parse_moment(clock, option="--clock", zone="UTC"),
        fleet="demo" if devices is None else "grown",
        devices=devices or 1,
    )
