"""The shell of the normalizer: records in, effects out, around the pure mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agents.normalizer.domain.claim import Claim
from agents.normalizer.domain.claim_837p import MAPPING, MAPPING_VERSION, normalise
from agents.normalizer.domain.errors import X12Error
from fleet.errors import PermanentError
from fleet.lane import Chunk, DeadLetter, Effect, Emit, Record, State
from schemas.codec import Codec
from schemas.envelope import EventAttributes, derived_id

TARGET = "canonical.claim"
SUBJECT = f"{TARGET}-value"
NO_NPI = "no-npi"
"""Partition key of claims whose billing provider has no NPI (atypical providers)."""


class Normalizer:
    """Maps each raw file to canonical claims: all of its claims, or one dead letter.

    Args:
        codec: Encodes the claims.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    async def ready(self) -> None:
        """Load the schema of the canonical claim."""
        await self._codec.warm([SUBJECT])

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Normalise X12 837P files to canonical claim events."""
        del state
        for record in chunk:
            try:
                yield from self._events(record)
            except X12Error as error:
                yield DeadLetter(record, error.reason, "parse", error.message)
            except PermanentError as error:
                yield DeadLetter(record, error.reason, "normalize", error.message)

    def _events(self, record: Record) -> Iterable[Effect]:
        system, file, caused_by, trace = origin(record)
        claims = normalise(record.value or b"", system=system, file=file)
        return [self._event(record, claim, system, caused_by, trace) for claim in claims]

    def _event(
        self, record: Record, claim: Claim, system: str, caused_by: str | None, trace: str | None
    ) -> Emit:
        step = f"{MAPPING}@{MAPPING_VERSION}/{claim.source.segment_position}"
        attributes = EventAttributes(
            id=derived_id(record.topic, record.partition, record.offset, step),
            source=f"/systems/{system}",
            type=TARGET,
            time=claim.event_time,
            subject=claim.claim_id,
            causationid=caused_by,
            traceparent=trace,
        )
        key = (claim.billing_provider.npi or NO_NPI).encode()
        return Emit(
            TARGET, key, self._codec.encode(SUBJECT, claim.as_avro()), attributes.headers(), None, record
        )


def origin(record: Record) -> tuple[str, str, str | None, str | None]:
    """Return source system, file name, event id and trace context of a raw record.

    Files from producers that know nothing of CloudEvents are taken too: the key names the
    system, and the coordinates stand for the file.
    """
    headers = dict(record.headers)
    coordinates = f"{record.topic}/{record.partition}/{record.offset}"
    source = _text(headers.get("ce_source"))
    system = source.rsplit("/", 1)[-1] or _text(record.key) or "unknown"
    file = _text(headers.get("ce_subject")) or coordinates
    return system, file, _text(headers.get("ce_id")) or coordinates, _text(headers.get("traceparent")) or None


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
