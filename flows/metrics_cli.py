"""`slotfeed metrics`: figures for Prometheus, shown once or served."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import screens
from pipelines.errors import ConfigurationError, Issue

if TYPE_CHECKING:
    from flows.metrics_serve import Figures

metrics = typer.Typer(no_args_is_help=True, help="Figures for Prometheus, from the stores and the run logs.")

Files = Annotated[
    list[str] | None,
    typer.Argument(
        help="Community files, or patterns of them: 'communities/*.yaml'; by default community.yaml.",
        envvar="SLOTFEED_COMMUNITY",
        show_default=False,
    ),
]
DEFAULT_FILE = "community.yaml"
MOST_PORTS = 65_535


@metrics.command()
def show(files: Files = None) -> None:
    """Print what Prometheus would get; exit 1 if a community can't be read."""
    from pipelines.metrics.exposition import as_text

    figures = _figures(files)
    try:
        read = figures.read()
    finally:
        figures.close()
    typer.echo(as_text(read), nl=False)
    unread = [name for name, samples in read.items() if not samples[0].value]
    if unread:
        screens.err.print(f"[red]{len(unread)} communities couldn't be read[/], told above")
        raise typer.Exit(1)


@metrics.command()
def serve(
    files: Files = None,
    listen: Annotated[str, typer.Option(help="Address and port; nobody is asked for a password.")] = "127.0.0.1:9464",
) -> None:
    """Answer Prometheus at /metrics until it is stopped."""
    from flows.metrics_serve import serving

    host, port = _address(listen)
    try:
        with serving(_figures(files), host=host, port=port) as bound:
            shown = f"[{host}]" if ":" in host else host
            screens.out.print(
                f"Metrics at http://{shown}:{bound}/metrics; Ctrl-C ends it", soft_wrap=True, markup=False
            )
            threading.Event().wait()
    except OSError as error:
        raise _fault(f"can't listen at {listen}: {error.strerror or error}", "Choose another address or port") from None


def _figures(files: list[str] | None) -> "Figures":
    from flows.metrics_serve import Figures, Place
    from flows.patterns import fitting_files
    from pipelines.clock import WallClock

    return Figures(places=[Place(Path(file)) for file in fitting_files(files or [DEFAULT_FILE])], clock=WallClock())


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > MOST_PORTS:
        raise _fault(f"'{listen}' is no address", "Write one like 127.0.0.1:9464 or [::1]:9464")
    return host, int(port)


def _fault(problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Issue(where="command line", field="--listen", problem=problem, remedy=remedy)])
