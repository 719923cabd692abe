"""What people ask about the sources: what there is to read, what is left of the budgets; and what they decide."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from pipelines.collect.catalogue import vendor_of
from pipelines.collect.cloud.account import open_account
from pipelines.collect.cloud.budget import Standing
from pipelines.collect.cloud.standing import read_account, resume_account
from pipelines.collect.run import Opening, open_source
from pipelines.collect.source import Device
from pipelines.community import Cloud
from pipelines.errors import ConfigurationError, Issue, SlotfeedError
from pipelines.store import AccountRow


@dataclass(frozen=True, kw_only=True)
class Quota:
    """The budget of one account."""

    source: str
    title: str
    """The vendor's."""

    standings: tuple[Standing, ...]
    account: AccountRow


def list_devices(opening: Opening, names: Collection[str]) -> tuple[dict[str, list[Device]], dict[str, SlotfeedError]]:
    """What these sources have to read, and why some could not be asked. Costs vendors a request or two each."""
    found: dict[str, list[Device]] = {}
    failed: dict[str, SlotfeedError] = {}
    for name in names:
        try:
            with open_source(name, opening) as source:
                found[name] = source.devices()
        except SlotfeedError as error:
            failed[name] = error
    return found, failed


def quotas(opening: Opening, now: datetime) -> list[Quota]:
    """What is left of every account's budget. No vendor is asked."""
    found = []
    for name, settings in opening.community.sources.items():
        if not isinstance(settings, Cloud):
            continue
        vendor = vendor_of(name, settings)
        with open_account(name, vendor, settings, opening.surroundings()) as account:
            # A session knows what an account's limits are where they depend on its devices.
            vendor.open(account)
            standings = tuple(account.http.budget.standings(now))
        found.append(
            Quota(source=name, title=vendor.title, standings=standings, account=read_account(opening.store, name))
        )
    return found


def authorise(opening: Opening, name: str, ask: Callable[[str], str]) -> str:
    """Let the account's owner admit slotfeed at the vendor.

    Args:
        opening: of the community.
        name: of the source.
        ask: shows the address to visit and returns the code that is shown there.

    Returns:
        What to tell the owner.

    Raises:
        ConfigurationError: the source is no account that is let in this way.
        AuthenticationError, SourceError, SourceUnavailable: the vendor didn't take the code.
    """
    settings = _account_settings(opening, name)
    vendor = vendor_of(name, settings)
    if vendor.authorise is None:
        raise ConfigurationError(
            [_issue(name, f"{vendor.title} knows no authorisation by its owner", "Set its secret")]
        )
    with open_account(name, vendor, settings, opening.surroundings()) as account:
        told = vendor.authorise(account, ask)
    resume_account(opening.store, name)
    return told


def resume(opening: Opening, name: str) -> bool:
    """Let a stopped account be asked again at the next run; whether it was stopped.

    Raises:
        ConfigurationError: there is no such account.
    """
    _account_settings(opening, name)
    return resume_account(opening.store, name)


def _account_settings(opening: Opening, name: str) -> Cloud:
    settings = opening.community.sources.get(name)
    if isinstance(settings, Cloud):
        return settings
    accounts = [each for each, one in opening.community.sources.items() if isinstance(one, Cloud)]
    problem = "this is a meter database" if settings else "there is no such source"
    raise ConfigurationError([_issue(name, problem, f"Accounts are: {', '.join(accounts) or 'none'}")])


def _issue(name: str, problem: str, remedy: str) -> Issue:
    return Issue(where=f"source '{name}'", field="", problem=problem, remedy=remedy)
