"""The canonical claim in Avro."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

import schemas
from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.samples import Sample, sample_837p

SCHEMA: dict[str, Any] = json.loads(
    (Path(schemas.__path__[0]) / "avro" / "canonical.claim.avsc").read_text(encoding="utf-8")
)
PARSED = fastavro.parse_schema(SCHEMA)


@pytest.mark.parametrize("sample", sample_837p(), ids=lambda sample: sample.name)
def test_a_claim_survives_avro(sample: Sample) -> None:
    """What is written is read back equal, decimals and dates included; no field is lost or added."""
    (claim,) = normalise(sample.content, system="s", file=sample.name)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, PARSED, claim.as_avro(), strict=True)
    buffer.seek(0)
    assert fastavro.schemaless_reader(buffer, PARSED, None) == _with_lists(claim.as_avro())


def _with_lists(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_lists(inner) for key, inner in value.items()}
    return [_with_lists(inner) for inner in value] if isinstance(value, tuple | list) else value


def _fields(schema: object) -> list[dict[str, Any]]:
    """Return all fields of a schema, those of nested records included."""
    if isinstance(schema, list):
        return [field for branch in schema for field in _fields(branch)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("fields", [])
    inner = [field for field in own for field in _fields(field["type"])]
    return [*own, *inner, *_fields(schema.get("items"))]


def test_every_field_is_documented() -> None:
    """A consumer can read the schema alone."""
    assert [field["name"] for field in _fields(SCHEMA) if not field.get("doc")] == []


def test_nullable_fields_default_to_null() -> None:
    """A field that may be absent can be left out by a writer of a later version."""
    nullable = [field for field in _fields(SCHEMA) if isinstance(field["type"], list)]
    assert nullable
    assert all(field["type"][0] == "null" and field["default"] is None for field in nullable)


def test_what_identifies_the_patient_is_marked() -> None:
    """Masking by role relies on these marks."""
    marked = {field["name"] for field in _fields(SCHEMA) if field.get("pii") == "phi"}
    assert marked == {
        "patient_control_number",
        "member_id",
        "birth_date",
        "gender",
        "code",
        "service_from",
        "service_to",
    }
