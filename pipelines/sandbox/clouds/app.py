"""All vendor clouds as one app: each vendor under its own prefix, found by itself in this package."""

import pkgutil
from importlib import import_module
from typing import Protocol, cast

from fastapi import APIRouter, FastAPI

import pipelines.sandbox.clouds as package
from pipelines.sandbox.clouds import control
from pipelines.sandbox.clouds.gate import CloudGate, Served
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.connections import HangUp, refuse_to_answer


class Vendor(Protocol):
    """What the module of an emulator exports."""

    PREFIX: str
    """Path under which the vendor's API stands, as at the vendor where that is possible."""

    def router(self, world: World) -> APIRouter:
        """The vendor's HTTP and websocket routes, without the prefix."""
        ...


def vendors() -> dict[str, Vendor]:
    """Name of the module -> the emulator, for every module of the package that has a `PREFIX`."""
    modules = {found.name: import_module(f"{package.__name__}.{found.name}") for found in _modules()}
    return {name: cast("Vendor", module) for name, module in modules.items() if hasattr(module, "PREFIX")}


def create_app(world: World, *, hang_up: HangUp = refuse_to_answer) -> FastAPI:
    """The clouds as an ASGI app; their OpenAPI stands under /sandbox/openapi.json.

    Args:
        world: what the vendors share.
        hang_up: closes a request's connection; the default raises, for use without a server.
    """
    app = FastAPI(
        title="slotfeed sandbox clouds",
        openapi_url="/sandbox/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    served = []
    for name, vendor in vendors().items():
        routes = vendor.router(world)
        served.append(Served(name=name, prefix=vendor.PREFIX, routes=routes.routes))
        app.include_router(routes, prefix=vendor.PREFIX)
    app.include_router(control.router(world))
    app.add_middleware(CloudGate, world=world, served=served, hang_up=hang_up)
    return app


def _modules() -> list[pkgutil.ModuleInfo]:
    # serve and process start servers and are vendors of nothing; importing serve here would import it twice.
    return [found for found in pkgutil.iter_modules(package.__path__) if found.name not in {"serve", "process"}]
