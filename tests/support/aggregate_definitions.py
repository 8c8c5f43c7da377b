"""Definitions of aggregations to test with, and the plans that workers make of them."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.aggregator.domain.plan import Compiled, Plan, build_id
from tables.aggregations.calculation import Build, Calculation, Start
from tables.aggregations.definition import Definition, parse_definition

COUNT = {"as": "claims", "function": "count"}
CHARGES = {"as": "charges", "function": "sum", "of": "event.total_charge", "type": "decimal(2)"}


def a_definition(name: str = "by-provider", **fields: Any) -> Definition:
    """Return claims and charges per provider and minute, with these fields changed."""
    document = {
        "name": name,
        "version": 1,
        "owner": "analytics",
        "sources": ["canonical.claim"],
        "event_time": "event.event_time",
        "group_by": {"provider": "event.billing_provider.npi"},
        "windows": {"kind": "tumbling", "size_ms": 60_000},
        "functions": [COUNT, CHARGES],
        "state": "active",
    }
    return parse_definition({**document, **fields})


def a_build(
    number: int = 1, start: Start = Start.LATEST, name: str = "by-provider", **fields: Any
) -> Compiled:
    """Return the one build of a definition, which serves it."""
    definition = a_definition(name, **fields)
    calculation = {each: getattr(definition, each) for each in Calculation.__struct_fields__}
    build = Build(number=number, start=start, **calculation)
    definition = msgspec.structs.replace(definition, builds=(build,), serving=number)
    return Compiled(build_id(name, number), definition, build)


def a_plan(*builds: Compiled, offset: int = 7) -> Plan:
    """Return the plan that has these builds."""
    return Plan({build.id: build for build in builds}, offset)
