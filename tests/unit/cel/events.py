"""A schema with a field of each type, and events of it, for tests of what knows types."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop.orders",
    "fields": [
        {"name": "count", "type": "long"},
        {"name": "small", "type": "int"},
        {"name": "score", "type": "double"},
        {"name": "ratio", "type": "float"},
        {"name": "name", "type": "string"},
        {"name": "raw", "type": "bytes"},
        {"name": "flag", "type": "boolean"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {
            "name": "rate",
            "type": {
                "type": "fixed",
                "name": "Rate",
                "size": 8,
                "logicalType": "decimal",
                "precision": 9,
                "scale": 4,
            },
        },
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["OPEN", "CLOSED"]}},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 4}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "clock", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "codes", "type": {"type": "array", "items": "string"}},
        {"name": "numbers", "type": {"type": "array", "items": "long"}},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "either", "type": ["string", "long"]},
        {
            "name": "customer",
            "type": {
                "type": "record",
                "name": "Customer",
                "fields": [
                    {"name": "name", "type": "string"},
                    {"name": "status", "type": "Status"},
                    {"name": "parent", "type": ["null", "Customer"], "default": None},
                ],
            },
        },
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [{"name": "code", "type": "string"}, {"name": "price", "type": "double"}],
                },
            },
        },
    ],
}

EVENT: Final[dict[str, Any]] = {
    "count": 3,
    "small": 2,
    "score": 1.5,
    "ratio": 0.5,
    "name": "2",
    "raw": b"ab",
    "flag": True,
    "amount": Decimal("12.50"),
    "rate": Decimal("0.0125"),
    "status": "OPEN",
    "digest": b"abcd",
    "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "local": datetime(2026, 1, 31, 12),  # noqa: DTZ001 - as it is decoded
    "day": date(2026, 1, 31),
    "clock": time(12, 30),
    "id": UUID(int=7),
    "codes": ["a", "b"],
    "numbers": [1, 2],
    "tags": {"a": "x"},
    "note": "n",
    "either": "e",
    "customer": {"name": "c", "status": "OPEN", "parent": None},
    "lines": [{"code": "a", "price": 1.5}],
}

_texts = st.sampled_from(["", "a", "OPEN", "2", "2026-01-31T00:00:00Z", "1h", "é"])
_wholes = st.sampled_from([-1, 0, 1, 2, 3, 2**31 - 1])
_doubles = st.sampled_from([-1.5, 0.0, 0.5, 1.0, 2.0])
_lines = st.fixed_dictionaries({"code": _texts, "price": _doubles})
_customers: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries({"name": _texts, "status": st.just("OPEN"), "parent": st.none()}),
    lambda inner: st.fixed_dictionaries({"name": _texts, "status": st.just("CLOSED"), "parent": inner}),
    max_leaves=2,
)
events: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {
        **{name: st.just(value) for name, value in EVENT.items()},
        "count": _wholes,
        "score": _doubles,
        "name": _texts,
        "flag": st.booleans(),
        "amount": st.decimals(-1000, 1000, places=2),
        "status": st.sampled_from(["OPEN", "CLOSED"]),
        "codes": st.lists(_texts, max_size=3),
        "numbers": st.lists(_wholes, max_size=3),
        "tags": st.dictionaries(_texts, _texts, max_size=2),
        "note": st.none() | _texts,
        "customer": _customers,
        "lines": st.lists(
            st.builds(lambda code, price: {"code": code, "price": price}, _texts, _doubles), max_size=3
        ),
    }
)
