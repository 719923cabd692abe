"""Users, passwords and invitations under /manage/."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from pipelines.errors import AuthenticationError
from pipelines.sandbox.exchange.accounts.invitations import Invitations
from pipelines.sandbox.exchange.accounts.people import Role, Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.manage.forms import Form, FormRoute, NewPassword, OldPassword, Username, Uuid, refusals

MOST_SUBJECTS = 5000
"""Assets or markets of one invitation; ours."""

VisitorOf = Callable[[Request], Awaitable[Visitor]]


class Account(BaseModel):
    """A user as others see them."""

    username: str
    role: Role
    subjects: list[str]
    """uuids of the assets or markets approved for them."""


class NewRole(Form):
    """A user's role from now on."""

    role: Role


class PasswordChange(Form):
    """One's own password."""

    old_password: OldPassword
    new_password: NewPassword


class Invite(Form):
    """Who may become a user."""

    username: Username
    role: Role
    subjects: Annotated[list[Uuid], Field(default_factory=list, max_length=MOST_SUBJECTS)]
    """Assets that are theirs from the first login on; a grid operator's are markets."""


class Invited(BaseModel):
    """An invitation; its code is told this once."""

    code: str
    username: str
    ends_at: datetime


class Acceptance(Form):
    """The code of an invitation, and the password its holder has chosen."""

    code: Annotated[str, Field(min_length=1, max_length=100)]
    password: NewPassword


def add(routes: APIRouter, ctn: Ctn, visitor_of: VisitorOf) -> None:
    """Add the paths."""
    _add_users(routes, ctn, visitor_of)
    _add_own(routes, ctn, visitor_of)
    routes.include_router(_invitations(ctn, visitor_of))


def _add_own(routes: APIRouter, ctn: Ctn, visitor_of: VisitorOf) -> None:
    @routes.get("/me")
    async def me(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Account:
        """Whose token this is."""
        return _account(visitor)

    @routes.put("/me/password", status_code=204)
    async def change_password(change: PasswordChange, visitor: Annotated[Visitor, Depends(visitor_of)]) -> None:
        """Change one's own password. Every token of the user ends."""
        try:
            await ctn.people.change_password(visitor.username, change.old_password, change.new_password)
        except AuthenticationError as error:
            ctn.audit.note(visitor.username, "change-password", visitor.username, "refused")
            raise HTTPException(403, "The old password is wrong.") from error
        ctn.audit.note(visitor.username, "change-password", visitor.username, "done")


def _add_users(routes: APIRouter, ctn: Ctn, visitor_of: VisitorOf) -> None:
    @routes.get("/users")
    async def users(visitor: Annotated[Visitor, Depends(visitor_of)]) -> list[Account]:
        """Every user. For who manages."""
        if not visitor.manages:
            ctn.audit.forbid(visitor, "list-users", "")
        return [_account(user) for user in ctn.people.all()]

    @routes.put("/users/{username}/role")
    async def change_role(username: str, new: NewRole, visitor: Annotated[Visitor, Depends(visitor_of)]) -> Account:
        """Give a user another role; what was approved for the old one ends. For the administrator."""
        if visitor.role is not Role.ADMIN:
            ctn.audit.forbid(visitor, "change-role", username)
        _known(ctn, username)
        with refusals():
            ctn.people.change_role(username, new.role)
        ctn.audit.note(visitor.username, "change-role", username, new.role)
        return _account(_known(ctn, username))

    @routes.delete("/users/{username}", status_code=204)
    async def remove(username: str, visitor: Annotated[Visitor, Depends(visitor_of)]) -> None:
        """End a user and their tokens. For the administrator."""
        if visitor.role is not Role.ADMIN:
            ctn.audit.forbid(visitor, "remove-user", username)
        _known(ctn, username)
        with refusals():
            ctn.people.remove(username)
        ctn.audit.note(visitor.username, "remove-user", username, "done")


def _invitations(ctn: Ctn, visitor_of: VisitorOf) -> APIRouter:
    routes = APIRouter(prefix="/invitations", route_class=FormRoute)
    invitations = Invitations(ctn.ledger, ctn.clock, ctn.people)

    @routes.post("", status_code=201)
    async def invite(form: Invite, visitor: Annotated[Visitor, Depends(visitor_of)]) -> Invited:
        """Invite somebody; the code is theirs alone. For who manages; only an administrator invites who manages."""
        manager = form.role in {Role.ADMIN, Role.OWNER}
        if not visitor.manages or (manager and visitor.role is not Role.ADMIN):
            ctn.audit.forbid(visitor, f"invite-{form.role}", form.username)
        known = ctn.twin.markets if form.role is Role.GRID_OPERATOR else ctn.twin.assets
        if manager and form.subjects:
            raise HTTPException(400, f"The role {form.role} needs no subjects: everything is theirs.")
        if unknown := [uuid for uuid in form.subjects if uuid not in known]:
            what = "market" if form.role is Role.GRID_OPERATOR else "asset"
            raise HTTPException(400, f"{len(unknown)} of the subjects are no {what} of this simulation.")
        with refusals():
            code, made = invitations.make(form.username, form.role, form.subjects)
        ctn.audit.note(visitor.username, f"invite-{form.role}", form.username, "done")
        return Invited(code=code, username=made.username, ends_at=made.ends_at)

    @routes.post("/accept", status_code=201)
    async def accept(form: Acceptance) -> Account:
        """Become a user. The code stands in for a token."""
        with refusals():
            found = await invitations.accept(form.code, form.password)
        ctn.audit.note(found.username, "accept-invitation", found.username, "done")
        return _account(_known(ctn, found.username))

    return routes


def _known(ctn: Ctn, username: str) -> Visitor:
    if (user := ctn.people.find(username)) is None:
        raise HTTPException(404, "No such user.")
    return user


def _account(user: Visitor) -> Account:
    return Account(username=user.username, role=user.role, subjects=sorted(user.subjects))
