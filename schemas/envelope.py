"""CloudEvents 1.0 attributes as Kafka headers (Kafka protocol binding, binary mode).

Header values are UTF-8. `traceparent` is the W3C header as it is, without the ``ce_`` prefix.
See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from fleet.errors import PermanentError

Headers: TypeAlias = tuple[tuple[str, bytes], ...]

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/avro"
NOT_CLOUDEVENT = "not_cloudevent"


class EventAttributes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The attributes of one event.

    Attributes:
        id: Identity of the event, unique within its source.
        source: URI reference of what made it, e.g. ``/agents/normalizer``.
        type: Event type, e.g. ``canonical.claim``.
        time: Event time, with a time zone, or None.
        subject: What in the source it is about, or None.
        dataschema: URI of the value's schema, or None.
        causationid: Identity of the event it was derived from, or None.
        traceparent: W3C trace context, or None.
    """

    id: str
    source: str
    type: str
    time: datetime | None = None
    subject: str | None = None
    dataschema: str | None = None
    causationid: str | None = None
    traceparent: str | None = None

    def headers(self) -> Headers:
        """Return the Kafka headers; attributes that are None have none.

        Raises:
            ValueError: The time has no time zone.
        """
        found = [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("content-type", b"application/avro"),
        ]
        if self.time is not None:
            found.append(("ce_time", rfc3339(self.time).encode()))
        if self.subject is not None:
            found.append(("ce_subject", self.subject.encode()))
        if self.dataschema is not None:
            found.append(("ce_dataschema", self.dataschema.encode()))
        if self.causationid is not None:
            found.append(("ce_causationid", self.causationid.encode()))
        if self.traceparent is not None:
            found.append(("traceparent", self.traceparent.encode()))
        return tuple(found)

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes]]) -> EventAttributes:
        """Read the attributes; headers of others are passed over, a missing version counts as 1.0.

        Raises:
            PermanentError: ``not_cloudevent``; the message names the header.
        """
        found = dict(headers)
        version = _text(found, "ce_specversion")
        if version not in (None, SPEC_VERSION):
            raise _refusal("ce_specversion", "is not 1.0")
        return cls(
            id=_required(found, "ce_id"),
            source=_required(found, "ce_source"),
            type=_required(found, "ce_type"),
            time=_time(found, "ce_time"),
            subject=_text(found, "ce_subject"),
            dataschema=_text(found, "ce_dataschema"),
            causationid=_text(found, "ce_causationid"),
            traceparent=_text(found, "traceparent"),
        )


def derived_id(topic: str, partition: int, offset: int, rule: str) -> str:
    """Return the identity of an event that `rule` derives from a record: the same at every retry."""
    return f"{topic}/{partition}/{offset}/{rule}"


def rfc3339(time: datetime) -> str:
    """Return a time in UTC as RFC 3339.

    Raises:
        ValueError: The time has no time zone.
    """
    if time.tzinfo is None:
        message = "an event time needs a time zone"
        raise ValueError(message)
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(headers: dict[str, bytes], name: str) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _refusal(name, "is not UTF-8") from error


def _required(headers: dict[str, bytes], name: str) -> str:
    value = _text(headers, name)
    if not value:
        raise _refusal(name, "is missing")
    return value


def _time(headers: dict[str, bytes], name: str) -> datetime | None:
    text = _text(headers, name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refusal(name, "is not an RFC 3339 time") from error
    if time.tzinfo is None:
        raise _refusal(name, "has no time zone")
    return time


def _refusal(name: str, what: str) -> PermanentError:
    return PermanentError(f"header {name} {what}", reason=NOT_CLOUDEVENT)
