"""The exchange's GraphQL door, for the queries that GSy's client sends.

GSy's schema isn't public; this one holds what gsy-e-sdk asks (utils.py), and every user is shown what the registry
shows them. Errors come as from Django: 400 where a document is no valid query, else 200 with `errors`. A missing token
is 401 as on every other path (ours).
"""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.wire.admission import admit
from pipelines.sandbox.exchange.wire.aggregators import visible
from pipelines.sandbox.exchange.wire.registry_answer import told_tree
from pipelines.sandbox.exchange.wire.reply import body_of

DEEPEST = 12
"""Levels of a query; introspection as GSy's client generator does it has 11. Ours."""

TOO_DEEP = f"Document is nested too deeply: {DEEPEST} levels are the most."

MOST_TOKENS = 2000
"""Of a document; ours."""

MOST_FIELDS = 20
"""Of the query itself, each of which may hold a whole tree; ours."""

RUNNING, CANARY_NETWORK = "running", "CANARY_NETWORK"
SPOT_MARKET_TYPES = {1: "ONE_SIDED", 2: "TWO_SIDED", 3: "COEFFICIENTS"}

SCHEMA = build_schema(
    """
    type Query {
      readConfiguration(uuid: String!): Configuration
      aggregatorsList: [Aggregator!]!
      listCanaryNetworks: ConfigurationList!
      listScmCommunities: ConfigurationList!
    }
    type ConfigurationList { configurations: [Configuration!]! }
    type Configuration {
      uuid: String!
      name: String!
      type: String!
      resultsStatus: String!
      scenarioData: ScenarioData!
      settingsData: SettingsData!
    }
    type ScenarioData {
      latest: Scenario!
      "JSON: uuid and name of each asset whose live switch is on."
      forecastStreamAreaMapping: String!
    }
    type Scenario {
      "JSON: a tree of name, type, uuid, children."
      serialized: String!
    }
    type SettingsData { spotMarketType: String! }
    type Aggregator { uuid: String! configUuid: String! name: String! devicesList: [Device!]! }
    type Device { deviceUuid: String! }
    """
)


def router(ctn: Ctn) -> APIRouter:
    """POST /graphql/."""
    routes = APIRouter()
    schema = {
        "type": "object",
        "required": ["query"],
        "properties": {
            "query": {"type": "string"},
            "variables": {"type": "object", "nullable": True},
            "operationName": {"type": "string", "nullable": True},
        },
    }
    described = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    @routes.post("/graphql/", openapi_extra=described)
    async def query(request: Request) -> Response:
        """Answer a query."""
        visitor = admit(ctn, request)
        body = body_of(request)
        try:
            document = _document(body.get("query"))
        except GraphQLError as error:
            return json_answer({"errors": [error.formatted]}, 400)
        if faults := validate(SCHEMA, document):
            return json_answer({"errors": [fault.formatted for fault in faults]}, 400)
        result = _run(ctn, visitor, document, body)
        answer: dict[str, object] = {}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
            if any(error.path is None for error in result.errors):
                return json_answer(answer, 400)
        return json_answer(answer | {"data": result.data})

    return routes


def _document(text: object) -> DocumentNode:
    if not isinstance(text, str):
        raise GraphQLError("Must provide query string.")
    try:
        document = parse(text, max_tokens=MOST_TOKENS)
    except RecursionError as error:
        raise GraphQLError(TOO_DEEP) from error
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    for one in document.definitions:
        if isinstance(one, OperationDefinitionNode):
            if len(one.selection_set.selections) > MOST_FIELDS:
                raise GraphQLError(f"A query has {MOST_FIELDS} fields at most.")
            _check_depth(one.selection_set, fragments)
    return document


def _check_depth(root: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
    """Refuse what is nested too deep, also through fragments; one that holds itself is refused with it."""
    level = {id(root): root}
    for _ in range(DEEPEST):
        below: dict[int, SelectionSetNode] = {}
        for selections in level.values():
            for one in selections.selections:
                found: SelectionSetNode | None = None
                if isinstance(one, FieldNode | InlineFragmentNode):
                    found = one.selection_set
                elif isinstance(one, FragmentSpreadNode) and one.name.value in fragments:
                    found = fragments[one.name.value].selection_set
                if found is not None:
                    below[id(found)] = found
        level = below
    if level:
        raise GraphQLError(TOO_DEEP)


def _run(ctn: Ctn, visitor: Visitor, document: DocumentNode, body: Mapping[str, Any]) -> ExecutionResult:
    variables, operation = body.get("variables"), body.get("operationName")
    return execute_sync(
        SCHEMA,
        document,
        root_value=_Root(ctn, visitor),
        variable_values=variables if isinstance(variables, dict) else None,
        operation_name=operation if isinstance(operation, str) else None,
    )


class _Root:
    """Resolves the fields of Query, which graphql-core looks up here by their names."""

    def __init__(self, ctn: Ctn, visitor: Visitor) -> None:
        self._ctn, self._visitor = ctn, visitor

    def readConfiguration(self, _info: object, uuid: str) -> dict[str, object]:  # noqa: N802
        if uuid != self._ctn.twin.simulation:
            # GSy's client reads the message as a Python literal, so it comes as Django words a refusal: a list.
            raise GraphQLError("['Configuration matching query does not exist.']")
        return self._configuration()

    def aggregatorsList(self, _info: object) -> list[dict[str, object]]:  # noqa: N802
        selections = self._ctn.trading.selections()
        return [
            {
                "uuid": one.uuid,
                "configUuid": self._ctn.twin.simulation,
                "name": one.name,
                "devicesList": [{"deviceUuid": uuid} for uuid in selections[one.uuid]],
            }
            for one in visible(self._ctn, self._visitor)
        ]

    def listCanaryNetworks(self, _info: object) -> dict[str, object]:  # noqa: N802
        return {"configurations": [] if self._is_scm() else [self._configuration()]}

    def listScmCommunities(self, _info: object) -> dict[str, object]:  # noqa: N802
        return {"configurations": [self._configuration()] if self._is_scm() else []}

    def _is_scm(self) -> bool:
        return SPOT_MARKET_TYPES.get(self._ctn.twin.settings.spot_market_type) == "COEFFICIENTS"

    def _configuration(self) -> dict[str, object]:
        twin = self._ctn.twin
        return {
            "uuid": twin.simulation,
            "name": twin.name,
            "type": CANARY_NETWORK,
            "resultsStatus": RUNNING,
            "scenarioData": {
                "latest": {"serialized": lambda _: json.dumps(told_tree(self._ctn, self._visitor))},
                "forecastStreamAreaMapping": lambda _: json.dumps(self._live()),
            },
            "settingsData": {"spotMarketType": SPOT_MARKET_TYPES.get(twin.settings.spot_market_type, "NONE")},
        }

    def _live(self) -> dict[str, str]:
        assets = self._ctn.twin.assets.values()
        return {one.uuid: one.name for one in assets if one.live and self._visitor.may_see(one.uuid)}
