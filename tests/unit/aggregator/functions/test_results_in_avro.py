"""What functions give fits the schema that is derived for it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from fleet.cel.nodes import Uint
from tests.support.aggregates import a_function, whole

VALUES: dict[str, list[Any]] = {
    "int": [1, -(2**63), -(2**63)],
    "uint": [Uint(1), Uint(7), Uint(9)],
    "double": [1.5, math.inf, 0.1],
    "decimal(2)": [Decimal("1.10"), Decimal("-3.00"), Decimal(7)],
    "string": ["a", "b", "é"],
    "bytes": [b"\x00", b"\xff", b""],
    "bool": [True, False, True],
    "timestamp": [datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2026, 1, 1, tzinfo=UTC)],
}
OF_NUMBERS = ["sum", "avg", "variance", "variance_pop", "quantiles"]
OF_SCALARS = ["count", "min", "max", "first", "last", "collect", "distinct", "top_k"]
NUMBERS = ["int", "uint", "double", "decimal(2)"]
CASES = [(name, type_) for name in OF_NUMBERS for type_ in NUMBERS] + [
    (name, type_) for name in OF_SCALARS for type_ in VALUES
]


@pytest.mark.parametrize(("name", "type_"), CASES, ids=[f"{name}-{type_}" for name, type_ in CASES])
def test_results_are_written_and_read_as_they_are(name: str, type_: str) -> None:
    """Each function, with each type that it takes."""
    function = a_function(name, type_)
    schema = parse_schema(
        {"type": "record", "name": "Result", "fields": [{"name": "x", "type": ["null", function.avro()]}]}
    )
    found = {"x": function.result(whole(function, VALUES[type_]))}
    written = BytesIO()
    schemaless_writer(written, schema, found, strict=True)
    written.seek(0)
    read = schemaless_reader(written, schema, None)
    # As texts, where NaN is NaN; a decimal is read with all digits of its scale.
    assert read == found or repr(read) == repr(found)
