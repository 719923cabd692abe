"""The command `slotfeed automations`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from flows import screens
from pipelines.errors import ConfigurationError, Issue

Urgent = Annotated[
    list[str], typer.Option(help="Prefect's block for what can't wait, as type/name: slack-webhook/ops.")
]
ByDay = Annotated[list[str] | None, typer.Option(help="The block for what can; by default nobody is told.")]
Output = Annotated[Path | None, typer.Option(help="Write them into a file, and create none.")]


def automations(urgent: Urgent, by_day: ByDay = None, output: Output = None) -> None:
    """Create Prefect's automations for what the watch sees, or bring them up to date."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        problem = "no Prefect server is named"
        raise ConfigurationError(
            [
                Issue(
                    where="environment",
                    field="PREFECT_API_URL",
                    problem=problem,
                    remedy="Set it to the server's address",
                )
            ]
        )
    done = asyncio.run(_make(urgent, by_day or [], output))
    if output is not None:
        screens.out.print(
            f"Wrote {output}. Next:\n  prefect automation create --from-file {output}", soft_wrap=True, markup=False
        )
    screens.show_rows("Automations", [{"automation": name, "": word} for name, word in done.items()], empty="None")


async def _make(urgent: list[str], by_day: list[str], output: Path | None) -> dict[str, str]:
    from prefect.client.orchestration import get_client

    from flows.automations import apply, as_file, block_ids
    from flows.automations import automations as made_of
    from flows.prefect_words import told_as_ours

    with told_as_ours():
        async with get_client() as client:
            made = made_of(urgent=await block_ids(client, urgent), by_day=await block_ids(client, by_day))
            if output is None:
                return await apply(client, made)
    output.write_text(as_file(made), encoding="utf-8")
    return {one.name: "written" for one in made}
