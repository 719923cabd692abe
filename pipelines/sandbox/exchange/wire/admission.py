"""The first lines of every handler: who asks, and for which simulation and asset."""

from fastapi import HTTPException, Request

from pipelines.errors import AuthenticationError
from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.twin import Asset


def admit(ctn: Ctn, request: Request, sim: str | None = None) -> Visitor:
    """Whoever holds the request's token. Token first, then the simulation, as a Django view does.

    Raises:
        HTTPException: 401 without a valid token, 404 for another simulation than the one that runs.
    """
    return admit_holder(ctn, request.headers.get("authorization"), sim)


def admit_holder(ctn: Ctn, authorization: str | None, sim: str | None = None) -> Visitor:
    """The same, of the header's text."""
    try:
        visitor = ctn.people.admit(authorization)
    except AuthenticationError as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": 'JWT realm="api"'}) from error
    if sim is not None and sim != ctn.twin.simulation:
        raise HTTPException(404, "No such simulation.")
    return visitor


def known_asset(ctn: Ctn, uuid: str) -> Asset:
    """The asset.

    Raises:
        HTTPException: 404.
    """
    if (asset := ctn.twin.assets.get(uuid)) is None:
        raise HTTPException(404, "No such asset.")
    return asset
