"""Random Avro schemas, and what is done with their values, for tests of what reads Avro."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer
from hypothesis import strategies as st

PLAIN = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
LOGICAL = [
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
]
names = st.integers(0, 10**9).map(lambda number: f"N{number}")


def records(types: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return record schemas over `types`; each name is given once."""
    return st.builds(
        lambda name, fields: {
            "type": "record",
            "name": name,
            "fields": [{"name": f"f{index}", "type": each} for index, each in enumerate(fields)],
        },
        names,
        st.lists(types, max_size=6),
    )


leaves = st.one_of(
    st.sampled_from(PLAIN),
    st.sampled_from(LOGICAL),
    names.map(lambda name: {"type": "enum", "name": f"E{name}", "symbols": ["a", "b", "c"]}),
    names.map(lambda name: {"type": "fixed", "name": f"F{name}", "size": 3}),
    st.sampled_from([*PLAIN[1:], *LOGICAL]).map(lambda kind: ["null", kind]),
    st.sampled_from(PLAIN[1:]).map(lambda kind: {"type": {"type": kind}}),
)
types = st.recursive(
    leaves,
    lambda inner: st.one_of(
        records(inner),
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda values: {"type": "map", "values": values}),
        records(inner).map(lambda record: ["null", record]),
    ),
    max_leaves=8,
)


def distinct(schema: Any) -> bool:
    """Tell whether fastavro accepts the schema: random names may meet."""
    try:
        parse_schema(schema)
    except Exception:  # noqa: BLE001 - whatever it finds wrong
        return False
    return True


def encoded(schema: Any, value: Any) -> bytes:
    """Return the Avro binary of `value`."""
    stream = BytesIO()
    schemaless_writer(stream, schema, value)
    return stream.getvalue()


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, with one NaN equal to another."""
    return repr(one) == repr(other)


def outcome(decode: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Return what `decode` gives, None where it raises: which error depends on the bytes."""
    try:
        return decode()
    except Exception:  # noqa: BLE001 - see above
        return None
