"""The registry as the exchange tells it (GSy's "Grid Data API"): the tree of markets and assets."""

from fastapi import APIRouter, Request, Response

from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.exchange.accounts.people import Role, Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.wire.admission import admit
from pipelines.sandbox.exchange.wire.clearing import nodes


def router(ctn: Ctn) -> APIRouter:
    """GET /external-connection/configurations/{sim}/registry."""
    routes = APIRouter()

    @routes.get("/external-connection/configurations/{sim}/registry")
    @routes.get("/external-connection/configurations/{sim}/registry/", include_in_schema=False)
    async def registry(sim: str, request: Request) -> Response:
        """The tree, of whose assets a visitor sees those that are theirs."""
        return json_answer(told_tree(ctn, admit(ctn, request, sim)))

    return routes


def told_tree(ctn: Ctn, visitor: Visitor) -> dict[str, object]:
    """The registry as this visitor sees it.

    Ours: markets are everyone's to see, assets only those of whoever manages, owns, sends for them, or runs the grid.
    `registered` also stands at what was approved for the visitor: GSy's scripts pick by it what they may use, before
    they have registered anything (inferred from them).
    """
    told: dict[str, list[object]] = {}
    root: dict[str, object] = {}
    for parent, area in nodes(ctn.twin.tree):
        uuid = area.uuid or ""
        asset = ctn.twin.assets.get(uuid)
        if asset is not None and not (visitor.may_see(uuid) or visitor.role is Role.GRID_OPERATOR):
            continue
        selected = ctn.trading.aggregators.get(ctn.trading.selected_by(uuid) or "")
        children: list[object] = []
        node: dict[str, object] = {
            "name": area.name,
            "type": area.type,
            "uuid": uuid,
            "attributes": dict(area.attributes) or None,
            "registered": uuid in visitor.subjects or (asset is not None and asset.registered),
            "aggregator_name": None if selected is None else selected.name,
            # A list for assets too: GSy's client walks it wherever the key stands, and would end at null.
            "children": children,
        }
        if asset is None:
            told[uuid] = children
        if parent is None:
            root = node
        else:
            told[parent.uuid or ""].append(node)
    return root
