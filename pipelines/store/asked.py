"""Many keys in one query, as a table of one parameter.

SQLAlchemy writes a `VALUES` list anew for every query, a parameter per value; for thousands of keys that takes longer
than the database's answer. A JSON array is one parameter, and the statement stays the same.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, String, cast, column, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine


def asked(connection: Connection, types: Mapping[str, TypeEngine[Any]], rows: Sequence[Sequence[object]]) -> CTE:
    """The rows as a table `asked` to join with.

    Args:
        connection: its dialect decides how the rows are written.
        types: name -> type of each column, as in the table that it is compared with.
        rows: one value for each column; texts, numbers or instants.
    """
    if connection.dialect.name == "postgresql":
        return _of_postgresql(types, rows)
    writers = [kind.dialect_impl(connection.dialect).bind_processor(connection.dialect) for kind in types.values()]
    stored = [[value if w is None else w(value) for w, value in zip(writers, row, strict=True)] for row in rows]
    found = func.json_each(json.dumps(stored)).table_valued("value")
    columns = [
        type_coerce(func.json_extract(found.c.value, f"$[{number}]"), kind).label(name)
        for number, (name, kind) in enumerate(types.items())
    ]
    return select(*columns).cte("asked")


def among(connection: Connection, text: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
    """The text is one of many: a filter over rows that something else leads to, never what leads."""
    if connection.dialect.name == "postgresql":
        every = select(func.unnest(literal(list(values), ARRAY(String))))
        # A table of hashes to look up in: an array is gone through for each row, and may lead to rows by its values.
        return text.in_(every).is_(True)
    listed = func.json_each(json.dumps(list(values))).table_valued("value")
    return no_lead(text).in_(select(listed.c.value))


def no_lead(text: ColumnElement[str]) -> ColumnElement[str]:
    """The text as an expression, so that no index that begins with it is taken.

    For conditions on rows that something better leads to. A database would take the index of verdicts to find a
    stream's neighbours, where its statistics are from when hardly a reading was judged, and go through all that have
    been judged since, once for every stream.
    """
    return text.concat("")


def _of_postgresql(types: Mapping[str, TypeEngine[Any]], rows: Sequence[Sequence[object]]) -> CTE:
    written = [[v.isoformat() if isinstance(v, datetime) else v for v in row] for row in rows]
    array = cast(literal(json.dumps(written), String), JSONB)
    found = func.jsonb_array_elements(array).table_valued(column("value", JSONB))
    columns = [
        cast(found.c.value.op("->>")(number), kind).label(name) for number, (name, kind) in enumerate(types.items())
    ]
    return select(*columns).cte("asked")
