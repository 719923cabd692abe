"""Secrets that are found again wherever they get to, and others' servers that send back what they were sent."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from pipelines.sandbox.demo_community import METER_OBIS, community_yaml
from pipelines.store import Store
from tests.reliability.secrecy import no_secret
from tests.reliability.world import World
from tests.security.listeners import Heard, Says

EXCHANGE = 'pl4nt-exch/"q"&+7f3a'
DATABASE = "pl4nt-db:@/9c1e"
METERS = "pl4nt-meters#%5b2d"
CLOUD = "pl4nt-cloud-e7a04c"
TOKEN = "pl4nt-token-31c95d0a"
SWITCH = "pl4nt-switch-d00f"
"""In the address of the dead man's switch."""

SECRETS = {
    "the exchange's password": EXCHANGE,
    "the database's password": DATABASE,
    "a meter database's password": METERS,
    "a vendor's key": CLOUD,
    "the exchange's token": TOKEN,
}
VENDORS = ("inexogy", "solaredge", "victron_vrm", "fusionsolar", "home_assistant")
ENVIRONMENT = {
    "SLOTFEED_EXCHANGE_USERNAME": "planted-user",
    "SLOTFEED_EXCHANGE_PASSWORD": EXCHANGE,
    "SLOTFEED_DATABASE_PASSWORD": DATABASE,
    "SLOTFEED_SOURCE_GRID_PASSWORD": METERS,
    **{f"SLOTFEED_SOURCE_{vendor.upper()}_PASSWORD": CLOUD for vendor in VENDORS},
}


@dataclass
class Told:
    """What commands printed, by command."""

    slotfeed: Callable[..., tuple[int, str]]
    texts: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, where: str = "", ends: Sequence[int] = (0,)) -> str:
        status, told = self.slotfeed(*arguments)
        self.texts[f"{where}: slotfeed {' '.join(arguments)}"] = told
        assert status in ends, told
        return told


def found(
    store: Store, community: Any, told: Mapping[str, str], *places: Path, secrets: Mapping[str, str] = SECRETS
) -> list[str]:
    """Where a secret stands."""
    world = World(community=community, store=store, journal=[], places=list(places), texts=told, secrets=dict(secrets))
    return [str(one) for one in no_secret(world)]


def echoing_file(base_url: str, *, protocol: str = "rest") -> str:
    """A community that reads from every vendor and from a database that isn't there, all of it elsewhere."""
    text = community_yaml(
        base_url=base_url, meter_url="sqlite:///m.sqlite", database="sqlite:///slotfeed.sqlite", protocol=protocol
    )
    content = yaml.safe_load(text)
    sources: dict[str, Any] = {
        "grid": content["sources"]["smart_meters"] | {"url": "postgresql+psycopg://reader@127.0.0.1:1/meters"}
    }
    for vendor in VENDORS:
        user = {"username": "planted-user"} if vendor in {"inexogy", "fusionsolar"} else {}
        sources[vendor] = {"type": vendor, "url": f"{base_url}/{vendor}", **user}
    streams = {
        "grid": {"register": METER_OBIS, "kind": "register", "unit": "kWh"},
        "home_assistant": {"register": "energy"},
        "inexogy": {"register": "import"},
    }
    assets = content["assets"][: len(sources)]
    for asset, name in zip(assets, sources, strict=True):
        asset["type"] = "load" if name in streams else "pv"
        asset["streams"] = [{"source": name, "device": "4711", **streams.get(name, {"register": "production"})}]
    return yaml.safe_dump({**content, "sources": sources, "assets": assets}, sort_keys=False)


def party_of(heard: Heard) -> str:
    """The vendor that was asked; empty for the exchange."""
    first = heard.path.split("/")[1].partition("?")[0]
    return first if first in VENDORS else ""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass
class Parrot:
    """The exchange and all vendors; each sends back whatever it was ever sent, in every spelling."""

    heard: dict[str, list[str]] = field(default_factory=dict)
    """By the first part of the path."""

    def all_of_it(self, heard: Heard) -> str:
        party = party_of(heard)
        said = self.heard.setdefault(party, [])
        said.append(heard.whole)
        known = [CLOUD] if party else [EXCHANGE, TOKEN]
        ways = [[one, quote(one, safe=""), json.dumps(one), one.encode().hex(), _base64(one)] for one in known]
        return " ".join([*(way for of_one in ways for way in of_one), *said[-3:]])

    def login(self) -> Says:
        return Says(body=json.dumps({"access": TOKEN}).encode())

    def refuses(self, heard: Heard) -> Says:
        """Every login and everything else, with 401."""
        return Says(status=401, body=self.all_of_it(heard).encode())

    def breaks_off(self, heard: Heard) -> Says:
        """The answer to a login is half of one, and holds a token that nobody knows yet."""
        said = self.all_of_it(heard)
        return Says(body=said.encode() if party_of(heard) else b'{"access": "' + TOKEN.encode())

    def complains(self, heard: Heard) -> Says:
        if heard.path == "/api-token-auth/":
            return self.login()
        return Says(status=400, body=self.all_of_it(heard).encode())

    def complains_in_json(self, heard: Heard) -> Says:
        """A success that holds an error, in the words of GSy, of GraphQL and of the vendors."""
        if heard.path == "/api-token-auth/":
            return self.login()
        said = self.all_of_it(heard)
        body = {
            **dict.fromkeys(("error", "error_message", "message", "msg", "errors", "data", "reason"), said),
            "success": False,
            "failCode": 20001,
            "error_code": said,
        }
        return Says(body=json.dumps(body).encode())

    def shows_a_page(self, heard: Heard) -> Says:
        if heard.path == "/api-token-auth/":
            return self.login()
        return Says(body=f"<html><h1>{self.all_of_it(heard)}</h1>".encode())

    def has_no_right(self, heard: Heard) -> Says:
        if heard.path == "/api-token-auth/":
            return self.login()
        return Says(status=403, body=self.all_of_it(heard).encode())

    def sends_on(self, heard: Heard) -> Says:
        """To an address that is made of what it was sent."""
        if heard.path == "/api-token-auth/":
            return self.login()
        secret = CLOUD if party_of(heard) else TOKEN
        return Says(status=302, headers={"Location": f"http://{secret}.example/?token={secret}"})

    def sends_back_as_data(self, heard: Heard) -> Says:
        """JSON of no form that was agreed."""
        if heard.path == "/api-token-auth/":
            return self.login()
        return Says(body=json.dumps([{"name": self.all_of_it(heard)}]).encode())
