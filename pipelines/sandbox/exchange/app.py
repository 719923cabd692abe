"""The sandbox's exchange over HTTP: the paths, bodies and answers of the REST interface that GSy's SDK speaks.

What the public clients send and read is kept to the letter. What only the server knows is chosen: the schema of
historical-data (undocumented), and an asset or simulation that doesn't exist is 404.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

from pipelines.clock import Clock
from pipelines.errors import AuthenticationError, RejectedError
from pipelines.sandbox.answers import described, json_answer
from pipelines.sandbox.exchange import control
from pipelines.sandbox.exchange.accounts import Accounts
from pipelines.sandbox.exchange.commands import IncorrectRequest, keyed_energies, single_energy
from pipelines.sandbox.exchange.faults import Faults
from pipelines.sandbox.exchange.gate import Gate, HangUp, Visit, refuse_to_answer, visit_of
from pipelines.sandbox.exchange.journal import Journal
from pipelines.sandbox.exchange.market import Market
from pipelines.sandbox.exchange.registry import Registry

LONGEST_READ = timedelta(days=366)
"""Span of one historical-data request; a longer one is refused, so that a slip can't stall the sandbox."""

_PROFILE_KEYS = {"PV": "pv_production_kWh", "SmartMeter": "smart_meter_profile_kWh"}
"""Names in the exchange's results; every other type is shown as a load."""

_WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)
_API = "/external-connection/api/{sim}/{asset}"
_KEYED = {"type": "object", "additionalProperties": {"type": "number"}, "example": {"2026-03-02T12:15": 0.25}}


def create_app(
    *,
    market: Market,
    registry: Registry,
    accounts: Accounts,
    clock: Clock,
    journal: Journal,
    faults: Faults,
    hang_up: HangUp = refuse_to_answer,
) -> FastAPI:
    """The exchange as an ASGI app; its OpenAPI stands under /sandbox/openapi.json.

    Args:
        market: advanced to the clock's now at every request.
        registry: the simulation and its assets.
        accounts: must live by the same clock.
        clock: a FixedClock is driven by PUT /sandbox/clock.
        journal: gets an entry for every request to the exchange.
        faults: rules in force.
        hang_up: closes a request's connection; the default raises, for use without a server.
    """
    app = FastAPI(
        title="slotfeed sandbox exchange",
        openapi_url="/sandbox/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    desk = _Desk(market, registry, accounts, clock)
    _add_commands(app, desk)
    _add_readings(app, desk)
    app.include_router(control.router(market, clock, journal, faults))
    app.add_middleware(
        Gate, market=market, accounts=accounts, clock=clock, journal=journal, faults=faults, hang_up=hang_up
    )
    return app


class _Desk:
    """Serves the exchange's requests."""

    def __init__(self, market: Market, registry: Registry, accounts: Accounts, clock: Clock) -> None:
        self.market = market
        self.registry = registry
        self.accounts = accounts
        self.clock = clock

    def admit(self, request: Request, sim: str, asset: str | None = None) -> Visit:
        """Check token, simulation and asset, in the order in which a Django view does."""
        try:
            self.accounts.check(request.headers.get("authorization"))
        except AuthenticationError as error:
            raise HTTPException(401, str(error), {"WWW-Authenticate": 'JWT realm="api"'}) from error
        if sim != self.registry.simulation:
            raise HTTPException(404, "No such simulation.")
        if asset is not None and asset not in self.registry.assets:
            raise HTTPException(404, "No such asset.")
        return visit_of(request)

    def command(self, visit: Visit, asset: str, command: str, obey: Callable[[], None]) -> Response:
        """Carry a command out and answer as the engine does: `ready` means queued, not applied."""
        body = _parsed(visit)
        answer: dict[str, object] = {"command": command, "status": "ready"}
        try:
            obey()
        except IncorrectRequest as error:
            answer |= {"status": "error", "error": str(error)}
        except RejectedError as error:
            name = self.registry.assets[asset].name
            answer |= {"status": "error", "error_message": f"Error when handling {command} on area {name}. {error}"}
        answer["transaction_id"] = body.get("transaction_id") if isinstance(body, dict) else None
        visit.entry.answer = str(answer["status"])
        return json_answer(answer)

    def keyed(self, request: Request, quantity: str) -> Response:
        """Take energies by slot, in kWh; `quantity` is forecast or measurement."""
        asset: str = request.path_params["asset"]
        visit = self.admit(request, request.path_params["sim"], asset)
        command, key = f"set_energy_{quantity}", f"energy_{quantity}"
        take = self.market.forecast if quantity == "forecast" else self.market.measurement

        def obey() -> None:
            energies = keyed_energies(visit.body, command, key, self.clock.now().date())
            if not visit.dropped:
                take(asset, {slot: visit.scaled(energy_kwh) for slot, energy_kwh in energies.items()})

        return self.command(visit, asset, command, obey)

    def single(self, request: Request) -> Response:
        """Take one energy without slot time, in Wh."""
        asset: str = request.path_params["asset"]
        visit = self.admit(request, request.path_params["sim"], asset)

        def obey() -> None:
            energy_kwh = single_energy(visit.body, "set_energy_forecast")
            if not visit.dropped:
                self.market.repeated_forecast(asset, visit.scaled(energy_kwh))

        return self.command(visit, asset, "set_energy_forecast", obey)

    def login(self, request: Request) -> Response:
        """Give a token for name and password, under both keys that clients have read."""
        body = _parsed(visit_of(request))
        given = body if isinstance(body, dict) else {}
        try:
            token = self.accounts.login(given.get("username"), given.get("password"))
        except AuthenticationError as error:
            raise HTTPException(401, str(error)) from error
        return json_answer({"access": token, "token": token})

    def history(self, request: Request, sim: str, asset: str, start: str, end: str) -> Response:
        """Tell the forecasts used in the slots of [start, end) that have begun."""
        self.admit(request, sim, asset)
        since, until = _wire_time(start), _wire_time(end)
        if until - since > LONGEST_READ:
            raise HTTPException(400, f"Ask for {LONGEST_READ.days} days at most.")
        key = _PROFILE_KEYS.get(self.registry.assets[asset].type, "load_profile_kWh")
        profile = self.market.profile(asset, since, until)
        # The engine rounds its results so (gsy_framework limit_float_precision).
        return json_answer({f"{slot:%Y-%m-%dT%H:%M}": {key: round(energy, 8)} for slot, energy in profile.items()})


def _add_commands(app: FastAPI, desk: _Desk) -> None:
    # Path parameters are read by hand, as the bodies are: FastAPI's own way costs a fifth of a small post.
    @app.post(
        _API + "/set_energy_forecast/",
        openapi_extra=described({"energy_Wh": {"type": "number"}}, in_path=("sim", "asset")),
    )
    async def set_single_forecast(request: Request) -> Response:
        return desk.single(request)

    @app.post(
        _API + "/set-energy-forecast/", openapi_extra=described({"energy_forecast": _KEYED}, in_path=("sim", "asset"))
    )
    async def set_forecast(request: Request) -> Response:
        return desk.keyed(request, "forecast")

    @app.post(
        _API + "/set-energy-measurement/",
        openapi_extra=described({"energy_measurement": _KEYED}, in_path=("sim", "asset")),
    )
    async def set_measurement(request: Request) -> Response:
        return desk.keyed(request, "measurement")


def _add_readings(app: FastAPI, desk: _Desk) -> None:
    text = {"type": "string"}

    @app.post("/api-token-auth/", openapi_extra=described({"username": text, "password": text}))
    async def login(request: Request) -> Response:
        return desk.login(request)

    @app.get("/external-connection/configurations/{sim}/registry")
    async def registry(sim: str, request: Request) -> Response:
        desk.admit(request, sim)
        return json_answer(desk.registry.tree)

    @app.get("/historical-data/assets/{sim}/{asset}/{start}/{end}")
    @app.get("/historical-data/devices/{sim}/{asset}/{start}/{end}", include_in_schema=False)
    async def history(sim: str, asset: str, start: str, end: str, request: Request) -> Response:
        return desk.history(request, sim, asset, start, end)


def _parsed(visit: Visit) -> Any:  # noqa: ANN401 - whatever a client may send
    if visit.broken is not None:
        raise HTTPException(400, f"JSON parse error - {visit.broken}")
    return visit.body


def _wire_time(text: str) -> datetime:
    if _WIRE_TIME.fullmatch(text):
        try:
            return datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
        except ValueError as error:
            raise HTTPException(400, f"'{text}' is no instant.") from error
    raise HTTPException(400, f"'{text}' isn't written as YYYY-MM-DDTHH:mm.")
