"""Connections under /manage/: users ask for assets or markets, who manages decides."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel

from pipelines.sandbox.exchange.accounts.grants import Grant, GrantState
from pipelines.sandbox.exchange.accounts.people import Role, Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.manage.forms import Form, Uuid, refusals
from pipelines.sandbox.exchange.manage.people import VisitorOf


class Connection(BaseModel):
    """What a user asked for, and what became of it."""

    username: str
    subject: str
    """uuid of an asset, or of a market for a grid operator."""

    state: GrantState
    asked_at: datetime
    decided_by: str | None


class Wish(Form):
    """What is asked for."""

    subject: Uuid


class Decision(Form):
    """Of who manages."""

    approve: bool
    """False also ends what was approved."""


def add(routes: APIRouter, ctn: Ctn, visitor_of: VisitorOf) -> None:
    """Add the paths."""

    @routes.get("/connections")
    async def connections(visitor: Annotated[Visitor, Depends(visitor_of)]) -> list[Connection]:
        """One's own connections; everybody's for who manages."""
        own = None if visitor.manages else visitor.username
        return [_shown(grant) for grant in ctn.people.grants.listed(username=own)]

    @routes.post("/connections", status_code=201)
    async def ask(wish: Wish, visitor: Annotated[Visitor, Depends(visitor_of)]) -> Connection:
        """Ask for an asset, or a market as a grid operator. Asking again changes nothing."""
        if visitor.manages:
            raise HTTPException(409, "Everything is yours: there is nothing to ask for.")
        operator = visitor.role is Role.GRID_OPERATOR
        if wish.subject not in (ctn.twin.markets if operator else ctn.twin.assets):
            raise HTTPException(404, "No such market." if operator else "No such asset.")
        with refusals():
            grant = ctn.people.grants.ask(visitor.username, wish.subject)
        ctn.audit.note(visitor.username, "ask-connection", wish.subject, grant.state)
        return _shown(grant)

    @routes.put("/connections/{username}/{subject}")
    async def decide(
        username: str, subject: str, decision: Decision, visitor: Annotated[Visitor, Depends(visitor_of)]
    ) -> Connection:
        """Approve or refuse. What was approved before ends with a refusal. For who manages."""
        if not visitor.manages:
            ctn.audit.forbid(visitor, "decide-connection", f"{username} {subject}")
        if ctn.people.find(username) is None or not (ctn.twin.assets.keys() | ctn.twin.markets.keys()) & {subject}:
            raise HTTPException(404, "No such connection.")
        found = ctn.people.grants.listed(username=username, subject=subject)
        if not found:
            raise HTTPException(404, "No such connection.")
        decided = ctn.people.grants.decide(found[0], approve=decision.approve, by=visitor.username)
        ctn.audit.note(visitor.username, "decide-connection", f"{username} {subject}", decided.state)
        return _shown(decided)


def _shown(grant: Grant) -> Connection:
    return Connection.model_validate(grant, from_attributes=True)
