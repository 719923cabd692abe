"""The command `slotfeed serve`."""

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
Files = Annotated[
    list[str] | None,
    typer.Option("--communities", help="Instead: community files or patterns of them; may be given more than once."),
]
Limit = Annotated[int, typer.Option(min=1, help="Runs at a time.")]
Port = Annotated[
    int, typer.Option(min=1, max=65535, help="On loopback, of a Prefect server that is started if none is configured.")
]


def serve(
    community: File = Path("community.yaml"), communities: Files = None, limit: Limit = 2, port: Port = 4200
) -> None:
    """Run all deployments on their schedules on this machine, until it is told to stop."""
    from flows import screens
    from flows.patterns import fitting_files
    from flows.serve import serve as keep_running
    from flows.serve_deployments import entries_for_many, entries_for_one
    from pipelines.check import read_community

    for file in fitting_files(communities) if communities else [community]:
        read_community(file)
    text = entries_for_many(communities) if communities else entries_for_one(community)
    screens.out.print("Serving; stop with Ctrl-C or SIGTERM. Again to stop runs that are on their way.")
    raise typer.Exit(keep_running(text, limit=limit, port=port))
