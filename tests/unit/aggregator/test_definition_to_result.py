"""From a definition and decoded events to results in the schema derived for them, without a broker."""

from __future__ import annotations

import json
import math
import statistics
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from agents.aggregator.domain.functions import At, Function, State, parse_function
from agents.aggregator.domain.windowing import Window, parse_windows
from fleet.cel.expression import Expression
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import parse_definition
from tables.aggregations.schemas import derive_output_schema
from tests.contract.test_catalogue import from_json
from tests.unit.aggregations.claims import CLAIM, SCHEMAS, a_document

EXAMPLE: dict[str, Any] = from_json(
    json.loads(Path("schemas/examples/canonical.claim.json").read_text()), CLAIM
)
CHUNK = 37
START = datetime(2026, 3, 8, tzinfo=UTC)
HOUR_MS = 3_600_000
FUNCTIONS = [
    {"as": "claims", "function": "count"},
    {"as": "large", "function": "count", "where": 'event.total_charge >= decimal("50")'},
    {"as": "total", "function": "sum", "of": "event.total_charge"},
    {"as": "mean", "function": "avg", "of": "event.total_charge"},
    {"as": "spread", "function": "variance", "of": "event.total_charge"},
    {"as": "first_claim", "function": "first", "of": "event.claim_id"},
    {"as": "newest", "function": "max", "of": "event.event_time"},
    {"as": "born", "function": "min", "of": "event.patient.birth_date"},
    {"as": "providers", "function": "distinct", "of": "event.rendering_provider_npi"},
    {"as": "lines", "function": "top_k", "of": "size(event.service_lines)"},
    {"as": "some", "function": "collect", "of": "event.claim_id", "limit": 2},
    {"as": "charges", "function": "quantiles", "of": "event.total_charge", "quantiles": [0.5]},
]


def claims(count: int) -> list[dict[str, Any]]:
    """Return claims over a day, decoded from Avro as an agent gets them."""
    random, schema, found = Random(5), parse_schema(CLAIM), []
    for number in range(count):
        claim = {
            **EXAMPLE,
            "claim_id": f"{number:032x}",
            "total_charge": Decimal(random.randrange(100, 10_000)) / 100,
            "rendering_provider_npi": random.choice([None, "1", "2", "3"]),
            "event_time": START + timedelta(milliseconds=random.randrange(24 * HOUR_MS)),
        }
        written = BytesIO()
        schemaless_writer(written, schema, claim, strict=True)
        written.seek(0)
        event = schemaless_reader(written, schema, None)
        assert isinstance(event, dict)
        found.append(event)
    return found


def value_of(expression: Expression, event: dict[str, Any]) -> Any:
    """Return what an expression gives for an event."""
    return expression.evaluate({}, dict, event)


def counted(function: Function, state: State, events: list[tuple[At, dict[str, Any]]]) -> State:
    """Return the state with a chunk of events, as a stage would count them."""
    taken = [
        (at, event)
        for at, event in events
        if function.where is None or value_of(function.where, event) is True
    ]
    values = [None if function.of is None else value_of(function.of, event) for _, event in taken]
    return function.merge(state, function.add_all(None, values, [at for at, _ in taken]))


def test_a_definition_gives_what_a_recomputation_gives() -> None:
    """Arguments have the types that the checker says, and results are written by the derived schema."""
    document = a_document(
        functions=FUNCTIONS,
        event_time="event.event_time",
        windows={"kind": "tumbling", "size_ms": HOUR_MS},
    )
    definition = check_definition(parse_definition(document), SCHEMAS).definition
    functions = [parse_function(spec) for spec in definition.functions]
    windows = parse_windows(definition.windows, definition.grace_ms)
    schema = parse_schema(derive_output_schema(definition, SCHEMAS))
    events = claims(400)
    ats = [
        At(round(value_of(definition.compiled_event_time, event).timestamp() * 1_000), "t", 0, offset)
        for offset, event in enumerate(events)
    ]
    states: dict[tuple[Window, str], State] = {}
    for start in range(0, len(events), CHUNK):
        end = start + CHUNK
        for window, places in windows.by_window([at.time_ms for at in ats[start:end]]).items():
            inside = [(ats[start + place], events[start + place]) for place in places]
            for function in functions:
                key = window, function.name
                states[key] = counted(function, states.get(key), inside)
    found = {window for window, _ in states}
    assert len(found) == 24
    for window in found:
        result = {each.name: each.result(states[window, each.name]) for each in functions}
        check(
            result,
            [
                event
                for event, at in zip(events, ats, strict=True)
                if window.start_ms <= at.time_ms < window.end_ms
            ],
        )
        row = {
            "payer": EXAMPLE["payer"]["id"],
            "window_start": datetime.fromtimestamp(window.start_ms / 1_000, UTC),
            "window_end": datetime.fromtimestamp(window.end_ms / 1_000, UTC),
            **result,
            "final": True,
            "watermark": None,
            "build": 1,
        }
        written = BytesIO()
        schemaless_writer(written, schema, row, strict=True)
        written.seek(0)
        assert schemaless_reader(written, schema, None) == row


def check(result: dict[str, Any], events: list[dict[str, Any]]) -> None:
    """Compare a result with what its events give, looked at one by one."""
    charges = [event["total_charge"] for event in events]
    ordered = sorted(events, key=lambda event: (event["event_time"], event["claim_id"]))
    assert (result["claims"], result["total"]) == (len(events), sum(charges))
    assert result["large"] == sum(charge >= 50 for charge in charges)
    assert math.isclose(result["spread"], statistics.variance(map(Fraction, charges)))
    assert result["first_claim"] == ordered[0]["claim_id"]
    assert result["newest"] == ordered[-1]["event_time"]
    assert result["some"]["values"] == [event["claim_id"] for event in ordered[:2]]
    assert result["providers"] == len({event["rendering_provider_npi"] for event in events} - {None})
    assert result["lines"]["values"] == [{"value": len(EXAMPLE["service_lines"]), "count": len(events)}]
