"""Contents as people read and edit them: what is shown and sent back unchanged is the same bytes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import load_catalogue
from tables.dead_letters.editing import Edit, edited
from tables.dead_letters.payload import Payload, encoded, shown, shown_key
from tables.dead_letters.redriving import Content
from tables.errors import InvalidInputError
from tests.support.agents_claims import a_claim
from tests.unit.schemas.local_registry import LocalRegistry

SCHEMA_ID = 7
EVERY_KIND: dict[str, Any] = {
    "type": "record",
    "name": "a.Thing",
    "fields": [
        {"name": "money", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "raw", "type": "bytes"},
        {"name": "code", "type": {"type": "enum", "name": "Code", "symbols": ["A", "B"]}},
        {"name": "codes", "type": {"type": "array", "items": "Code"}},
        {"name": "mark", "type": {"type": "fixed", "name": "Mark", "size": 2}},
        {"name": "by_name", "type": {"type": "map", "values": ["null", "a.Thing"]}},
        {"name": "either", "type": ["string", "long"]},
    ],
}


def written(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    """Return a value in wire format."""
    stream = BytesIO()
    stream.write(b"\x00" + SCHEMA_ID.to_bytes(4, "big"))
    schemaless_writer(stream, parse_schema(schema), value)
    return stream.getvalue()


def things() -> st.SearchStrategy[dict[str, Any]]:
    """Return values of every kind, within each other."""

    def of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {
                "money": st.decimals(-(10**9), 10**9, places=2),
                "at": st.none() | st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
                "day": st.dates(date(1900, 1, 1)),
                "raw": st.binary(max_size=9),
                "code": st.sampled_from("AB"),
                "codes": st.lists(st.sampled_from("AB"), max_size=3),
                "mark": st.binary(min_size=2, max_size=2),
                "by_name": st.dictionaries(st.text(max_size=3), inner, max_size=2),
                "either": st.text(max_size=5) | st.integers(-(2**40), 2**40),
            }
        )

    return of(st.none() | of(st.none()))


@given(things())
async def test_what_is_sent_back_as_shown_is_the_same_bytes(thing: dict[str, Any]) -> None:
    """Through JSON as a client has it: decimals, times, bytes, names within names, unions."""
    registry: Any = LocalRegistry({SCHEMA_ID: EVERY_KIND})
    value = written(EVERY_KIND, thing)
    payload = await shown(value, registry)
    assert (payload.format, payload.schema_id) == ("avro", SCHEMA_ID)
    back = msgspec.json.decode(msgspec.json.encode(payload), type=Payload)
    assert await encoded(back, registry) == value


async def test_a_claim_comes_back_as_it_was() -> None:
    """The catalogue's own largest schema."""
    schema = load_catalogue().avro["canonical.claim"]
    registry: Any = LocalRegistry({SCHEMA_ID: schema})
    value = written(schema, a_claim())
    payload = await shown(value, registry)
    assert payload.content["total_charge"] == "79.04"
    back = msgspec.json.decode(msgspec.json.encode(payload), type=Payload)
    assert await encoded(back, registry) == value


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        (None, Payload(format="none")),
        (b'{"a": [1]}', Payload(format="json", content={"a": [1]})),
        ("ISA*é~\r\n".encode(), Payload(format="text", content="ISA*é~\r\n")),
        (b"\x01\xff", Payload(format="hex", content="01ff")),
        (b"a\x07b", Payload(format="hex", content="610762")),
        (b"", Payload(format="text", content="")),
    ],
)
async def test_other_values_are_shown_in_the_first_form_that_fits(
    value: bytes | None, payload: Payload
) -> None:
    """And come back as they were; JSON without its spaces."""
    registry: Any = LocalRegistry({SCHEMA_ID: EVERY_KIND})
    assert await shown(value, registry) == payload
    back = await encoded(payload, registry)
    assert back == (b'{"a":[1]}' if payload.format == "json" else value)


async def test_damaged_avro_is_shown_as_hex() -> None:
    """The schema is known, the rest is not of it."""
    registry: Any = LocalRegistry({SCHEMA_ID: EVERY_KIND})
    value = b"\x00" + SCHEMA_ID.to_bytes(4, "big") + b"\xff"
    assert await shown(value, registry) == Payload(format="hex", content=value.hex())


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (Payload(format="avro", content={}), "needs its schema_id"),
        (Payload(format="text", content=1), "of format text must be text"),
        (Payload(format="hex", content="0g"), "is not hexadecimal digits"),
        (Payload(format="gone", content="x"), "no format 'gone'"),
        (Payload(format="avro", content={"raw": "%"}, schema_id=SCHEMA_ID), "content.raw is not base64"),
        (Payload(format="avro", content=[], schema_id=SCHEMA_ID), f"not of schema id {SCHEMA_ID}"),
    ],
)
async def test_what_cannot_be_encoded_is_named(payload: Payload, said: str) -> None:
    """One line with the member."""
    registry: Any = LocalRegistry({SCHEMA_ID: EVERY_KIND})
    with pytest.raises(InvalidInputError, match=said) as caught:
        await encoded(payload, registry)
    assert caught.value.field.startswith("payload.")


def test_keys_are_text_or_hex() -> None:
    """As much as needed to tell them apart."""
    assert [shown_key(key) for key in (None, b"npi", b"\xff")] == [
        Payload(format="none"),
        Payload(format="text", content="npi"),
        Payload(format="hex", content="ff"),
    ]


async def test_headers_that_stay_as_shown_keep_their_bytes() -> None:
    """Also those that are no text; new ones are UTF-8."""
    old = Content(b"k", b"v", (("a", b"\xff"), ("b", b"1"), ("b", b"2")))
    edit = Edit(headers=[("b", "2"), ("a", r"\xff"), ("c", "é")])
    registry: Any = LocalRegistry({SCHEMA_ID: EVERY_KIND})
    new = await edited(old, edit, registry)
    assert new == Content(b"k", b"v", (("b", b"2"), ("a", b"\xff"), ("c", "é".encode())))
