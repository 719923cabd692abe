"""`/manage/`: how people run the local exchange. Paths and bodies are ours; GSy's own are pages of its website."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.manage import assets as manage_assets
from pipelines.sandbox.exchange.manage import connections as manage_connections
from pipelines.sandbox.exchange.manage import people as manage_people
from pipelines.sandbox.exchange.manage.forms import FormRoute
from pipelines.sandbox.exchange.wire.admission import admit

MOST_LINES = 1000
"""Of the audit log in one answer; ours."""

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The values don't fit this simulation; `detail` says why"},
    401: {"description": "No valid token"},
    403: {"description": "Not the user's to do; noted in the audit log"},
    404: {"description": "No such user, asset, market or connection"},
    409: {"description": "The exchange's state forbids it; `detail` says why"},
}


class AuditLine(BaseModel):
    """Who did, or tried, what."""

    id: int
    at: datetime
    username: str
    action: str
    subject: str
    outcome: str


def router(ctn: Ctn) -> APIRouter:
    """Every path under /manage/."""
    routes = APIRouter(prefix="/manage", route_class=FormRoute, responses=REFUSALS)

    async def visitor_of(request: Request) -> Visitor:
        return admit(ctn, request)

    manage_people.add(routes, ctn, visitor_of)
    manage_connections.add(routes, ctn, visitor_of)
    manage_assets.add(routes, ctn, visitor_of)

    @routes.get("/audit")
    async def audit(
        visitor: Annotated[Visitor, Depends(visitor_of)],
        limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 100,
        before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    ) -> list[AuditLine]:
        """The newest lines of the audit log, newest first; `before` an id, to page on. For who manages."""
        if not visitor.manages:
            ctn.audit.forbid(visitor, "read-audit", "")
        return [
            AuditLine.model_validate(line, from_attributes=True) for line in ctn.audit.lines(limit=limit, before=before)
        ]

    return routes
