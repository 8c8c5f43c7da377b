"""The codec: wire format, reasons of refusal, unknown ids, outages."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import FatalError, PermanentError, TransientError
from schemas import codec as codec_module
from schemas.catalogue import load_avsc
from schemas.codec import Codec, schema_ids
from schemas.registry import UNUSABLE_SCHEMA
from tests.unit.schemas.local_registry import Clock, LocalRegistry

WINDOW = load_avsc(Path(__file__).parent / "window.avsc")
SUBJECT = "team.windows-value"
WINDOW_ID = 258
VALUE: dict[str, Any] = {
    "definition": "claims-by-provider",
    "key": "1234567893",
    "window_kind": "hour",
    "window_start": datetime(2026, 3, 2, 14, tzinfo=UTC),
    "window_end": datetime(2026, 3, 2, 15, tzinfo=UTC),
    "claims": 3,
    "charges": Decimal("1350.75"),
    "final": True,
    "watermark": datetime(2026, 3, 2, 15, 10, tzinfo=UTC),
    "late_claims": 0,
}
TIMES = st.integers(0, 4_102_444_800_000).map(
    lambda ms: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
)
LONGS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.fixed_dictionaries(
    {
        "definition": st.text(),
        "key": st.text(),
        "window_kind": st.sampled_from(["hour", "day"]),
        "window_start": TIMES,
        "window_end": TIMES,
        "claims": LONGS,
        "charges": st.integers(-(10**18) + 1, 10**18 - 1).map(lambda cents: Decimal(cents).scaleb(-2)),
        "final": st.booleans(),
        "watermark": TIMES,
        "late_claims": LONGS,
    }
)


def registry() -> LocalRegistry:
    """Return a registry that knows the window schema by id and by subject."""
    return LocalRegistry({WINDOW_ID: WINDOW}, {SUBJECT: WINDOW_ID})


def warmed(**options: Any) -> Codec:
    """Return a codec that has the window schema loaded."""
    codec = Codec(registry(), **options)
    asyncio.run(codec.warm([SUBJECT]))
    return codec


CODEC = warmed()


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: dict[str, Any]) -> None:
    """Encoding then decoding gives an equal value: decimals exact, times in UTC."""
    assert CODEC.decode(CODEC.encode(SUBJECT, value)) == value


def test_the_header_is_the_wire_format_of_confluent() -> None:
    """A value begins with 0x00 and its schema id, four bytes, big-endian."""
    assert CODEC.encode(SUBJECT, VALUE)[:5] == struct.pack(">bI", 0, WINDOW_ID)
    assert CODEC.schema_id(SUBJECT) == WINDOW_ID


@pytest.mark.parametrize(
    "value", [b"", b"\x00", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00\x07abc", b'{"a": 1}']
)
def test_a_value_without_header_is_refused(value: bytes) -> None:
    """No magic byte, or too short for a header: not the wire format."""
    with pytest.raises(PermanentError) as error:
        CODEC.decode(value)
    assert error.value.reason == "not_avro_wire_format"


@pytest.mark.parametrize("cut", range(5, len(CODEC.encode(SUBJECT, VALUE))))
def test_a_truncated_value_is_refused(cut: int) -> None:
    """A value that ends early is not Avro, wherever it ends."""
    with pytest.raises(PermanentError) as error:
        CODEC.decode(CODEC.encode(SUBJECT, VALUE)[:cut])
    assert error.value.reason == "not_avro"


def test_trailing_bytes_are_refused() -> None:
    """Bytes after the record mean that it was written by another schema than its id says."""
    with pytest.raises(PermanentError, match="1 bytes follow") as error:
        CODEC.decode(CODEC.encode(SUBJECT, VALUE) + b"\x00")
    assert error.value.reason == "not_avro"


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_but_a_refusal(garbage: bytes) -> None:
    """Whatever follows a good header, the answer is a record or ``not_avro``."""
    reason, decoded = "", VALUE
    try:
        decoded = CODEC.decode(struct.pack(">bI", 0, WINDOW_ID) + garbage)
    except PermanentError as error:
        reason = error.reason
    assert reason in ("", "not_avro")
    assert decoded.keys() == VALUE.keys()


def test_no_content_of_a_value_in_the_message() -> None:
    """A refusal must not carry what the record holds: it may be health information."""
    with pytest.raises(PermanentError) as error:
        CODEC.encode(SUBJECT, {**VALUE, "claims": "SECRET"})
    assert error.value.reason == "invalid_value"
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [{"claims": "three"}, {"charges": Decimal("0.001")}, {"window_start": None}, {"claims": 2**70}],
)
def test_a_value_that_does_not_match_its_schema_is_refused(wrong: dict[str, Any]) -> None:
    """Encoding a wrong type, too fine a decimal or too large a number is a permanent error."""
    with pytest.raises(PermanentError) as error:
        CODEC.encode(SUBJECT, {**VALUE, **wrong})
    assert error.value.reason == "invalid_value"


def test_encoding_needs_a_warm_subject() -> None:
    """A subject that was not loaded is a mistake in the wiring, not in the record."""
    with pytest.raises(FatalError, match="other-value is not loaded"):
        CODEC.encode("other-value", VALUE)


async def test_warming_an_unregistered_subject_says_what_to_do() -> None:
    """A missing subject stops the worker with the command that registers it."""
    with pytest.raises(FatalError, match="eventfleet topics apply"):
        await Codec(registry()).warm(["other-value"])


async def test_warming_during_an_outage_can_be_repeated() -> None:
    """An outage while warming is transient."""
    source = registry()
    source.down = True
    codec = Codec(source)
    with pytest.raises(TransientError):
        await codec.warm([SUBJECT])
    source.down = False
    await codec.warm([SUBJECT])
    assert codec.decode(codec.encode(SUBJECT, VALUE)) == VALUE


async def test_an_id_is_looked_up_once() -> None:
    """A schema is fetched and parsed once for each id."""
    source = registry()
    codec = Codec(source)
    await codec.ensure({WINDOW_ID})
    await codec.ensure({WINDOW_ID})
    assert source.lookups == [WINDOW_ID]
    assert codec.decode(CODEC.encode(SUBJECT, VALUE)) == VALUE


async def test_an_outage_is_never_a_dead_letter() -> None:
    """While the registry is down, `ensure` and `decode` are transient; afterwards the event decodes."""
    source = registry()
    source.down = True
    codec = Codec(source)
    value = CODEC.encode(SUBJECT, VALUE)
    with pytest.raises(TransientError):
        await codec.ensure({WINDOW_ID})
    with pytest.raises(TransientError):
        codec.decode(value)
    source.down = False
    await codec.ensure({WINDOW_ID})
    assert codec.decode(value) == VALUE


async def test_an_unknown_id_is_refused_once_confirmed() -> None:
    """The registry must deny an id for `confirm_s` before records of it are refused."""
    clock, source = Clock(), registry()
    codec = Codec(source, confirm_s=5, clock=clock)
    with pytest.raises(TransientError, match="schema id 9 yet"):
        await codec.ensure({9})
    clock.now_s = 5
    await codec.ensure({9})
    with pytest.raises(PermanentError) as error:
        codec.decode(b"\x00\x00\x00\x00\x09abc")
    assert error.value.reason == "unknown_schema_id"


async def test_an_id_that_appears_while_it_is_confirmed_is_used() -> None:
    """A registry that is still reading its journal denies an id at first: nothing is refused."""
    clock, source = Clock(), LocalRegistry()
    codec = Codec(source, confirm_s=5, clock=clock)
    with pytest.raises(TransientError):
        await codec.ensure({WINDOW_ID})
    source.schemas[WINDOW_ID] = WINDOW
    clock.now_s = 5
    await codec.ensure({WINDOW_ID})
    assert codec.decode(CODEC.encode(SUBJECT, VALUE)) == VALUE


async def test_an_outage_starts_the_confirmation_again() -> None:
    """Denials before an outage prove nothing after it: the registry may have just been started."""
    clock, source = Clock(), registry()
    codec = Codec(source, confirm_s=5, clock=clock)
    with pytest.raises(TransientError):
        await codec.ensure({9})
    clock.now_s, source.down = 4, True
    with pytest.raises(TransientError):
        await codec.ensure({9})
    clock.now_s, source.down = 6, False
    with pytest.raises(TransientError, match="schema id 9 yet"):
        await codec.ensure({9})


async def test_other_unknown_ids_do_not_wait_again_at_once() -> None:
    """Right after a confirmation a flood of unknown ids costs no further pauses."""
    clock = Clock()
    codec = Codec(registry(), confirm_s=5, clock=clock)
    with pytest.raises(TransientError):
        await codec.ensure({9})
    clock.now_s = 5
    await codec.ensure({9})
    clock.now_s = 6
    await codec.ensure(range(10, 40))
    clock.now_s = 11
    with pytest.raises(TransientError):
        await codec.ensure({50})


async def test_an_unknown_id_is_asked_for_again_after_its_time() -> None:
    """The memory of an unknown id is bounded in time: a schema registered later is found."""
    clock, source = Clock(), LocalRegistry()
    codec = Codec(source, confirm_s=0, unknown_ttl_s=60, clock=clock)
    source.schemas[1] = WINDOW
    await codec.ensure({WINDOW_ID})
    clock.now_s = 59
    await codec.ensure({WINDOW_ID})
    assert source.lookups == [WINDOW_ID]
    source.schemas[WINDOW_ID] = WINDOW
    clock.now_s = 60
    await codec.ensure({WINDOW_ID})
    assert codec.decode(CODEC.encode(SUBJECT, VALUE)) == VALUE


async def test_the_memory_of_unknown_ids_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids come from outside: the oldest beyond the limit are dropped, those of the chunk at hand stay."""
    monkeypatch.setattr(codec_module, "MAX_REMEMBERED", 3)
    codec = Codec(registry(), confirm_s=0)
    await codec.ensure(range(1000, 1005))
    await codec.ensure({1001, 2000})
    with pytest.raises(TransientError, match="1000 was not looked up"):
        codec.decode(struct.pack(">bI", 0, 1000))
    for known in (1001, 1002, 2000):
        with pytest.raises(PermanentError):
            codec.decode(struct.pack(">bI", 0, known))


async def test_a_schema_that_cannot_be_parsed_is_refused() -> None:
    """An id whose schema fastavro does not take can never be decoded."""
    codec = Codec(LocalRegistry({3: {"type": "record", "name": "R", "fields": [{"name": "a", "type": "Q"}]}}))
    await codec.ensure({3})
    with pytest.raises(PermanentError) as error:
        codec.decode(b"\x00\x00\x00\x00\x03abc")
    assert error.value.reason == UNUSABLE_SCHEMA


async def test_a_reader_schema_fills_what_older_writers_lack() -> None:
    """A record of an older schema is read as the newer one, with its defaults."""
    newer = {
        **WINDOW,
        "fields": [*WINDOW["fields"], {"name": "currency", "type": "string", "default": "USD"}],
    }
    codec = Codec(registry(), readers=[newer])
    await codec.ensure({WINDOW_ID})
    assert codec.decode(CODEC.encode(SUBJECT, VALUE)) == {**VALUE, "currency": "USD"}


def test_schema_ids_of_a_chunk() -> None:
    """Every id once; tombstones, short values and other formats are passed over."""
    values = [
        CODEC.encode(SUBJECT, VALUE),
        b"\x00\x00\x00\x00\x07",
        b"\x00\x00\x00\x00\x07abc",
        None,
        b"",
        b"\x00\x01",
    ]
    assert schema_ids([*values, b"\x01\x00\x00\x00\x09abc"]) == {7, WINDOW_ID}


def test_what_fastavro_writes_is_what_the_codec_writes() -> None:
    """After the header comes plain Avro binary, as any other Avro library writes it."""
    stream = BytesIO()
    schemaless_writer(stream, WINDOW, VALUE)
    assert CODEC.encode(SUBJECT, VALUE)[5:] == stream.getvalue()
