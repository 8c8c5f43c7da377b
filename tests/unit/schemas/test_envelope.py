"""CloudEvents attributes and Kafka headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import PermanentError
from schemas.envelope import EventAttributes, derived_id, rfc3339

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ATTRIBUTES = st.builds(
    EventAttributes,
    id=TEXT,
    source=TEXT,
    type=TEXT,
    time=st.none() | st.datetimes(timezones=st.just(UTC)),
    subject=st.none() | TEXT,
    dataschema=st.none() | TEXT,
    causationid=st.none() | TEXT,
    traceparent=st.none() | TEXT,
)
REQUIRED = (("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"t"))


@given(ATTRIBUTES)
def test_attributes_come_back_as_they_were(attributes: EventAttributes) -> None:
    """Every attribute survives the headers; those that are None have no header."""
    headers = attributes.headers()
    assert EventAttributes.from_headers(headers) == attributes
    assert all(isinstance(value, bytes) for _, value in headers)


def test_header_names_are_those_of_the_kafka_binding() -> None:
    """Attributes have the prefix ``ce_``; the content type and the trace context have none."""
    time = datetime(2026, 3, 2, 15, 5, tzinfo=timezone(timedelta(hours=1)))
    headers = EventAttributes(
        id="canonical.claim/3/17/high-value",
        source="/agents/router",
        type="canonical.claim",
        time=time,
        subject="5f0c",
        dataschema="http://registry/schemas/ids/7",
        causationid="9a1b",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ).headers()
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"canonical.claim/3/17/high-value",
        "ce_source": b"/agents/router",
        "ce_type": b"canonical.claim",
        "content-type": b"application/avro",
        "ce_time": b"2026-03-02T14:05:00Z",
        "ce_subject": b"5f0c",
        "ce_dataschema": b"http://registry/schemas/ids/7",
        "ce_causationid": b"9a1b",
        "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (REQUIRED[1:], "header ce_id is missing"),
        ((*REQUIRED[:2], ("ce_type", b"")), "header ce_type is missing"),
        ((*REQUIRED, ("ce_specversion", b"0.3")), "header ce_specversion is not 1.0"),
        ((*REQUIRED, ("ce_time", b"yesterday")), "header ce_time is not an RFC 3339 time"),
        ((*REQUIRED, ("ce_time", b"2026-03-02T14:05:00")), "header ce_time has no time zone"),
        ((*REQUIRED, ("ce_subject", b"\xff")), "header ce_subject is not UTF-8"),
    ],
)
def test_bad_headers_are_refused_by_name(headers: tuple[tuple[str, bytes], ...], message: str) -> None:
    """The refusal names the header and never repeats its content."""
    with pytest.raises(PermanentError) as error:
        EventAttributes.from_headers(headers)
    assert error.value.reason == "not_cloudevent"
    assert str(error.value) == message


def test_headers_of_others_are_passed_over() -> None:
    """Unknown headers are no error, and a missing version counts as 1.0."""
    attributes = EventAttributes.from_headers((*REQUIRED, ("x-file", b"\xff\x00")))
    assert attributes == EventAttributes(id="1", source="/s", type="t")


def test_a_time_needs_a_time_zone() -> None:
    """A naive time is a programming error."""
    with pytest.raises(ValueError, match="time zone"):
        rfc3339(datetime(2026, 3, 2))  # noqa: DTZ001 - the naive time is the case


def test_derived_ids_are_the_same_at_every_retry() -> None:
    """The identity of a derived event comes from its record and rule alone."""
    assert derived_id("canonical.claim", 3, 17, "high-value") == "canonical.claim/3/17/high-value"
