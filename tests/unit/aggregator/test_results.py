"""From rows to results in the schema derived for them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_reader

from agents.aggregator.domain.functions import ResultTooLargeError
from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.plan import Compiled, build_id
from agents.aggregator.domain.rows import Row, RowKey
from agents.aggregator.domain.windowing import ALL_TIME, Window
from agents.aggregator.results import Results, group_parts, schema_of, values_of
from fleet.errors import PermanentError
from schemas.codec import HEADER_BYTES, Codec
from tables.aggregations.builds import rebuilt
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import parse_definition
from tables.aggregations.schemas import derive_output_schema
from tests.unit.aggregations.claims import SCHEMAS, a_document
from tests.unit.schemas.local_registry import LocalRegistry

GROUPS = {
    "payer": "event.payer.id",
    "charge": "event.total_charge",
    "at": "event.event_time",
    "lines": "size(event.service_lines)",
    "large": 'event.total_charge > decimal("100")',
}
PARTS = ["p|1", Decimal("12.50"), datetime(2026, 3, 29, 1, 30, tzinfo=UTC), 3, True]
WINDOW = Window(1_000, 61_000)
WATERMARK = datetime(1970, 1, 1, 0, 2, tzinfo=UTC)


def compiled(**fields: Any) -> tuple[Compiled, dict[str, Any]]:
    """Return the build of a definition, and the schema of its results."""
    document = a_document(group_by=GROUPS, state="active", **fields)
    definition = check_definition(parse_definition(document), SCHEMAS).definition
    schema = derive_output_schema(definition, SCHEMAS)
    definition = rebuilt(definition, None)
    build = msgspec.structs.replace(definition.builds[0], output_schema=3)
    return Compiled(build_id(definition.name, build.number), definition, build), schema


async def results_of(schema: dict[str, Any]) -> Results:
    """Return what makes results of this schema."""
    codec = Codec(LocalRegistry({3: schema}))
    await codec.ensure([3])
    return Results(codec)


@pytest.mark.parametrize("parts", [PARTS, [None] * len(PARTS)])
@pytest.mark.parametrize("window", [WINDOW, ALL_TIME])
async def test_results_are_written_by_the_derived_schema(parts: list[Any], window: Window) -> None:
    """Parts of the group come back as the values that they were made of, of every type."""
    build, schema = compiled()
    key, row = RowKey(build.id, group_key(parts), window), Row(3, ["99.95"], 10)
    encoded = (await results_of(schema)).encoded(build, key, row, 120_000, final=True)
    found = schemaless_reader(BytesIO(encoded[HEADER_BYTES:]), parse_schema(schema), None)
    open_ended = window == ALL_TIME
    assert found == {
        **dict(zip(GROUPS, parts, strict=True)),
        "window_start": None if open_ended else datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        "window_end": None if open_ended else datetime(1970, 1, 1, 0, 1, 1, tzinfo=UTC),
        "total": Decimal("99.95"),
        "final": True,
        "watermark": WATERMARK,
        "build": 1,
    }


async def test_parts_of_a_group_without_a_schema_are_as_written() -> None:
    """Decimals and times are texts then."""
    build, _ = compiled()
    found = group_parts(build, group_key(PARTS))
    assert found == {
        "payer": "p|1",
        "charge": "12.5",
        "at": "2026-03-29T01:30:00Z",
        "lines": 3,
        "large": True,
    }


async def test_a_result_with_too_many_digits_is_refused() -> None:
    """It names the field."""
    build, _ = compiled()
    with pytest.raises(ResultTooLargeError, match="total"):
        values_of(build, [str(10**50)])


async def test_a_build_without_a_schema_has_no_results() -> None:
    """Where it was written before there was one."""
    build, _ = compiled()
    bare = Compiled(build.id, build.definition, msgspec.structs.replace(build.build, output_schema=None))
    with pytest.raises(PermanentError, match="has no schema of its results"):
        schema_of(bare)
