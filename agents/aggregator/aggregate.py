"""The shell of the aggregator: claims in, rows and results out, around the pure aggregation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from agents.aggregator.domain.aggregation import Aggregation, Fact, Late, Result, Write
from agents.aggregator.domain.windows import DAY_MS
from fleet.errors import PermanentError
from fleet.lane import Chunk, DeadLetter, Delete, Effect, Emit, Put, Record, State
from schemas.codec import Codec, schema_ids
from schemas.envelope import EventAttributes, derived_id

UPDATES = "fleet.aggregator.updates"
FINALS = "fleet.aggregator.finals"
LATE = "fleet.aggregator.late"
NO_NPI = "no-npi"
SOURCE = "/agents/aggregator"
MAX_AHEAD_MS = DAY_MS
"""How far event time may run ahead of the publishing time, which allows for clocks that differ.

One event from far in the future would move the watermark there, and make all that follows late.
"""


class Aggregator:
    """Counts claims and sums charges per billing provider, per hour and per day.

    Args:
        codec: Decodes claims, encodes results.
        aggregation: The definition.
    """

    def __init__(self, codec: Codec, aggregation: Aggregation) -> None:
        self._codec = codec
        self._aggregation = aggregation

    async def ready(self) -> None:
        """Load the schema of the results."""
        await self._codec.warm([f"{UPDATES}-value", f"{FINALS}-value"])

    async def prepare(self, chunk: Chunk) -> None:
        """Look up the chunk's schemas."""
        await self._codec.ensure(schema_ids(record.value for record in chunk))

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Aggregate claims and charges per billing provider in event-time windows."""
        facts: list[Fact | None] = []
        for record in chunk:
            fact, refused = self._fact(record)
            facts.append(fact)
            if refused is not None:
                yield refused
        for outcome in self._aggregation.apply(facts, state, state.partition):
            if isinstance(outcome, Write):
                yield _written(outcome)
            elif isinstance(outcome, Late):
                yield _late(chunk[outcome.position], outcome)
            else:
                yield self._result(outcome, chunk[outcome.position])

    def _fact(self, record: Record) -> tuple[Fact | None, DeadLetter | None]:
        try:
            claim = self._codec.decode(record.value or b"")
            fact = Fact(
                claim["billing_provider"]["npi"] or NO_NPI,
                _epoch_ms(claim["event_time"]),
                claim["total_charge"],
            )
        except PermanentError as error:
            return None, DeadLetter(record, error.reason, "decode", error.message)
        except (KeyError, TypeError, AttributeError) as error:
            detail = f"the event has no usable {error}"
            return None, DeadLetter(record, "missing_field", "aggregate", detail)
        if fact.event_time_ms > record.timestamp + MAX_AHEAD_MS:
            detail = "event_time is more than a day after the event was published"
            return None, DeadLetter(record, "event_time_in_future", "aggregate", detail)
        return fact, None

    def _result(self, result: Result, cause: Record) -> Emit:
        topic = FINALS if result.final else UPDATES
        window = result.window
        value = {
            "definition": self._aggregation.name,
            "key": result.group,
            "window_kind": window.kind,
            "window_start": _instant(window.start_ms),
            "window_end": _instant(window.end_ms),
            "claims": result.row["claims"],
            "charges": Decimal(result.row["charges"]),
            "final": result.final,
            "watermark": _instant(result.watermark_ms),
            "late_claims": result.row["late"],
        }
        step = f"{self._aggregation.name}/{result.group}/{window.kind}/{window.start_ms}"
        attributes = EventAttributes(
            id=derived_id(cause.topic, cause.partition, cause.offset, step),
            source=SOURCE,
            type=topic,
            time=value["window_end"],
            subject=result.group,
        )
        encoded = self._codec.encode(f"{topic}-value", value)
        return Emit(topic, result.group.encode(), encoded, attributes.headers(), None, cause)


def _written(write: Write) -> Effect:
    if write.row is None:
        return Delete(write.table, write.key)
    return Put(write.table, write.key, write.row)


def _late(record: Record, late: Late) -> Emit:
    window = late.window
    headers = (
        *record.headers,
        ("fleet_late_window", f"{window.kind}/{_instant(window.start_ms).isoformat()}".encode()),
    )
    return Emit(LATE, record.key, record.value, headers, None, record)


def _epoch_ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _instant(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
