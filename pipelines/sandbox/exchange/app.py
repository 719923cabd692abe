"""The local exchange over HTTP: puts its parts together. What the public clients send and read is kept to the letter.

What only the server knows is chosen: see `results`, `posts`, `manage`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from pipelines.sandbox.exchange import control
from pipelines.sandbox.exchange.ctn import Ctn, Tellers
from pipelines.sandbox.exchange.manage import routes as manage
from pipelines.sandbox.exchange.pages import routes as pages
from pipelines.sandbox.exchange.timekeeper import keep_time
from pipelines.sandbox.exchange.wire import (
    aggregators,
    assets,
    batch,
    events,
    graphql,
    login,
    markets,
    posts,
    registry_answer,
    results,
    sockets,
)
from pipelines.sandbox.exchange.wire.gate import Gate

ROUTERS = (
    control.router,
    login.router,
    results.router,
    assets.router,
    markets.router,
    aggregators.router,
    batch.router,
    registry_answer.router,
    graphql.router,
    manage.router,
    sockets.router,
    pages.router,
)
"""Each gives the paths of its module for a network."""


def create_app(ctn: Ctn) -> FastAPI:
    """The exchange as an ASGI app; its OpenAPI stands under /sandbox/openapi.json."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with keep_time(ctn):
            yield

    app = _Exchange(
        title="slotfeed sandbox exchange",
        openapi_url="/sandbox/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    ctn.tellers = Tellers(cycle=events.tell_cycle, tick=events.tell_tick, finish=events.tell_finish)
    for router in ROUTERS:
        app.include_router(router(ctn))
    # The last one added is met first.
    app.add_middleware(posts.Posts, ctn=ctn)
    app.add_middleware(Gate, ctn=ctn)
    return app


class _Exchange(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description, with the posts that are handled below FastAPI's routing."""
        if self.openapi_schema is None:
            super().openapi()["paths"].update(posts.described_paths())
        return super().openapi()
