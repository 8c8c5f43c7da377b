"""Avro in Confluent wire format: 0x00, the schema id (4 bytes, big-endian), the Avro binary.

`Codec.encode` and `Codec.decode` are synchronous and cost little more than fastavro itself.
All I/O is in `Codec.warm` and `Codec.ensure`: await them first, outside the hot loop.
"""

from __future__ import annotations

import time
from asyncio import gather
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from itertools import islice
from typing import Any, Protocol, TypeAlias, TypeVar

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from fleet.errors import EventfleetError, FatalError, PermanentError, TransientError
from schemas.projection import (
    Classes,
    Classifier,
    Projection,
    ProjectionError,
    UnclassedError,
    compile_classifier,
    compile_projection,
)
from schemas.registry import UNKNOWN_SCHEMA_ID, UNKNOWN_SUBJECT, UNUSABLE_SCHEMA, SubjectVersion

NOT_WIRE_FORMAT = "not_avro_wire_format"
NOT_AVRO = "not_avro"
INVALID_VALUE = "invalid_value"

UNKNOWN_TTL_S = 60.0
CONFIRM_S = 5.0
MAX_REMEMBERED = 10_000
MAX_PROJECTIONS = 1_000
_MAGIC = b"\x00"
HEADER_BYTES = 5
"""Bytes of the wire format before the Avro value: 0, and the schema id in four."""

_CONCURRENT_FETCHES = 8

# fastavro's own type for a schema is a union that no dict of ours satisfies.
_Schema: TypeAlias = Any
_Kept = TypeVar("_Kept")


class SchemaSource(Protocol):
    """Where a codec gets its schemas from (`schemas.registry.Registry`)."""

    async def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the Avro schema of a global id."""

    async def latest(self, subject: str) -> SubjectVersion:
        """Return the newest version of a subject."""


class Codec:
    """Encodes and decodes record values; schemas are parsed once for each id.

    An id that the registry denies is remembered as unknown only after the registry has denied
    it for `confirm_s` without an outage in between: a registry that has just been started
    answers from a journal that it has not read to its end. Until then `ensure` raises
    `TransientError`, so that a known event is never dead-lettered.

    Args:
        registry: Source of the schemas.
        readers: Schemas to read records as, matched by their full name; writers that are not
            among them are read as they were written.
        unknown_ttl_s: How long an unknown id is remembered, seconds.
        confirm_s: How long the registry must deny an id, seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        registry: SchemaSource,
        *,
        readers: Iterable[dict[str, Any]] = (),
        unknown_ttl_s: float = UNKNOWN_TTL_S,
        confirm_s: float = CONFIRM_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        parsed: list[_Schema] = [parse_schema(reader) for reader in readers]
        self._readers: dict[str, _Schema] = {schema["name"]: schema for schema in parsed}
        self._unknown_ttl_s = unknown_ttl_s
        self._confirm_s = confirm_s
        self._clock = clock
        self._schemas: dict[int, tuple[_Schema, _Schema]] = {}
        self._writers: dict[str, tuple[bytes, _Schema]] = {}
        self._projections: dict[frozenset[str], dict[bytes, Projection]] = {}
        self._refused: dict[int, tuple[str, float]] = {}
        self._denied_since: dict[int, float] = {}
        self._settled_until = -1.0

    def encode(self, subject: str, value: dict[str, Any]) -> bytes:
        """Encode a value with the schema of a subject that `warm` has loaded.

        Raises:
            PermanentError: ``invalid_value``, the value does not match the schema.
            FatalError: The subject was not warmed.
        """
        try:
            header, schema = self._writers[subject]
        except KeyError:
            raise FatalError(
                f"subject {subject} is not loaded", hint="await Codec.warm for it first"
            ) from None
        return _encoded(header, schema, value, subject)

    def encode_as(self, schema_id: int, value: dict[str, Any]) -> bytes:
        """Encode a value with the schema of an id that `ensure` has looked up.

        Raises:
            PermanentError: ``invalid_value``, or the id cannot be used.
            TransientError: Nobody looked the id up yet.
        """
        try:
            schema, _ = self._schemas[schema_id]
        except KeyError:
            raise self._undecodable(schema_id) from None
        return _encoded(_MAGIC + schema_id.to_bytes(4, "big"), schema, value, f"id {schema_id}")

    def decode(self, value: bytes) -> dict[str, Any]:
        """Decode a value whose schema id `ensure` or `warm` has looked up.

        Raises:
            PermanentError: ``not_avro_wire_format``, ``unknown_schema_id``, ``unusable_schema``
                or ``not_avro``.
            TransientError: Nobody looked the id up yet.
        """
        if len(value) < HEADER_BYTES or value[0]:
            message = "the value does not begin with 0x00 and a schema id"
            raise PermanentError(message, reason=NOT_WIRE_FORMAT)
        schema_id = _id(value[:HEADER_BYTES])
        try:
            writer, reader = self._schemas[schema_id]
        except KeyError:
            raise self._undecodable(schema_id) from None
        stream = BytesIO(value)
        stream.seek(HEADER_BYTES)
        try:
            decoded = schemaless_reader(stream, writer, reader)
        except MemoryError:
            raise
        except Exception as error:
            raise _not_avro(schema_id, error) from error
        if stream.tell() != len(value):
            message = f"{len(value) - stream.tell()} bytes follow the Avro of schema id {schema_id}"
            raise PermanentError(message, reason=NOT_AVRO)
        return decoded  # type: ignore[return-value]  # every schema of a topic is a record

    def project(self, value: bytes, wanted: frozenset[str]) -> dict[str, Any]:
        """Decode the fields `wanted` alone; see `projector`."""
        return self.projector(wanted)(value)

    def projector(self, wanted: frozenset[str]) -> Callable[[bytes], dict[str, Any]]:
        """Return what decodes the fields `wanted` alone, in a fraction of the time of `decode`.

        A value that is not of its schema is refused as `decode` refuses it, except that texts
        which are not wanted may be anything. Fields that the schema has not are not in the result.

        Args:
            wanted: Names of fields: ``payer`` for all of it, ``payer.id`` for that alone of it.
        """
        known = self._projections.get(wanted)
        if known is None:
            if len(self._projections) >= MAX_PROJECTIONS:
                self._projections.clear()
            known = self._projections[wanted] = {}
        found = known.get

        def project(value: bytes) -> dict[str, Any]:
            header = value[:HEADER_BYTES]
            projection = found(header)
            if projection is None:
                projection = self._projection(value, wanted, known)
            try:
                return projection(value, HEADER_BYTES)
            except (EventfleetError, MemoryError):
                raise
            except Exception as error:
                raise _not_avro(_id(header), error) from error

        return project

    def classifier(self, header: bytes, tests: Mapping[str, Classes]) -> Classifier | None:
        """Return what gives the classes of an event's fields without decoding it.

        Args:
            header: The first bytes of the event's value.
            tests: The tests by path; see `schemas.projection.compile_classifier`.

        Returns:
            None where there is none: the schema is not known, is read as another one, or has no such form.

        Raises:
            UnclassedError: Values of one of the fields have no classes.
        """
        writer, reader = self._schemas.get(_id(header), (None, None))
        if writer is None or reader is not None or len(header) < HEADER_BYTES or header[0]:
            return None
        try:
            return compile_classifier(writer, tests)
        except UnclassedError:
            raise
        except ProjectionError:
            return None

    def _projection(self, value: bytes, wanted: frozenset[str], known: dict[bytes, Projection]) -> Projection:
        def whole(value: bytes, start: int) -> dict[str, Any]:
            del start
            return self.decode(value)

        header = value[:HEADER_BYTES]
        writer, reader = self._schemas.get(_id(header), (None, None))
        if writer is None or reader is not None or header[0]:
            return whole
        try:
            projection = compile_projection(writer, wanted)
        except ProjectionError:
            projection = whole
        if len(known) >= MAX_PROJECTIONS:
            known.clear()
        known[header] = projection
        return projection

    def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the schema of an id that `ensure` has looked up, as fastavro parsed it.

        Raises:
            PermanentError: The id cannot be used.
            TransientError: Nobody looked the id up yet.
        """
        try:
            found: dict[str, Any] = self._schemas[schema_id][0]
        except KeyError:
            raise self._undecodable(schema_id) from None
        return found

    def schema_id(self, subject: str) -> int:
        """Return the id that `encode` writes for a warmed subject."""
        return int.from_bytes(self._writers[subject][0][1:], "big")

    async def warm(self, subjects: Iterable[str]) -> None:
        """Load the newest schema of each subject, for `encode` and `decode`.

        Raises:
            TransientError: The registry does not answer.
            FatalError: A subject is not registered.
        """
        for subject in subjects:
            try:
                newest = await self._registry.latest(subject)
            except PermanentError as error:
                if error.reason == UNKNOWN_SUBJECT:
                    hint = "run `eventfleet topics apply`"
                    raise FatalError(f"the schema registry has no subject {subject}", hint=hint) from error
                raise FatalError(f"subject {subject} cannot be used: {error.message}") from error
            self._learn(newest.schema_id, newest.schema)
            header = _MAGIC + newest.schema_id.to_bytes(4, "big")
            self._writers[subject] = (header, parse_schema(newest.schema))

    async def ensure(self, ids: Iterable[int]) -> None:
        """Look up those ids that are new; after it, `decode` knows or permanently refuses each.

        Raises:
            TransientError: The registry does not answer, or has denied an id for too short a time
                to believe it: pause and call again.
        """
        now = self._clock()
        wanted = set(ids) - self._schemas.keys()
        missing = iter([schema_id for schema_id in wanted if not self._is_refused(schema_id, now)])
        _drop_oldest(self._refused, keep=wanted)
        _drop_oldest(self._denied_since, keep=wanted)
        while batch := tuple(islice(missing, _CONCURRENT_FETCHES)):
            outcomes = await gather(*map(self._fetch, batch), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _fetch(self, schema_id: int) -> None:
        try:
            schema = await self._registry.schema(schema_id)
        except TransientError:
            self._denied_since.clear()
            self._settled_until = -1.0
            raise
        except PermanentError as error:
            if error.reason == UNKNOWN_SCHEMA_ID and not self._is_confirmed(schema_id):
                message = f"the schema registry does not know schema id {schema_id} yet"
                raise TransientError(message, hint="asking again before the record is refused") from error
            self._refuse(schema_id, error.reason)
        else:
            self._learn(schema_id, schema)

    def _is_confirmed(self, schema_id: int) -> bool:
        now = self._clock()
        if now - self._denied_since.setdefault(schema_id, now) >= self._confirm_s:
            # A flood of unknown ids must not cost one pause each, and a restart takes longer than this.
            self._settled_until = now + self._confirm_s
            return True
        return now < self._settled_until

    def _learn(self, schema_id: int, schema: dict[str, Any]) -> None:
        try:
            writer: _Schema = parse_schema(schema)
        except Exception:  # noqa: BLE001 - fastavro raises what it stumbles over
            self._refuse(schema_id, UNUSABLE_SCHEMA)
            return
        reader = self._readers.get(writer["name"])
        self._schemas[schema_id] = (writer, None if reader == writer else reader)
        self._refused.pop(schema_id, None)
        self._denied_since.pop(schema_id, None)

    def _refuse(self, schema_id: int, reason: str) -> None:
        self._refused[schema_id] = (reason, self._clock() + self._unknown_ttl_s)

    def _is_refused(self, schema_id: int, now: float) -> bool:
        return schema_id in self._refused and now < self._refused[schema_id][1]

    def _undecodable(self, schema_id: int) -> PermanentError | TransientError:
        if schema_id in self._refused:
            reason = self._refused[schema_id][0]
            message = f"schema id {schema_id} cannot be used ({reason.replace('_', ' ')})"
            return PermanentError(message, reason=reason)
        hint = "await Codec.ensure for it first"
        return TransientError(f"schema id {schema_id} was not looked up", hint=hint)


def _encoded(header: bytes, schema: _Schema, value: dict[str, Any], name: str) -> bytes:
    stream = BytesIO()
    stream.write(header)
    try:
        schemaless_writer(stream, schema, value)
    except MemoryError:
        raise
    except Exception as error:
        # The type of the exception depends on the value: there is no common one to name.
        message = f"the value does not match the schema of {name} ({type(error).__name__})"
        raise PermanentError(message, reason=INVALID_VALUE) from error
    return stream.getvalue()


def _id(header: bytes) -> int:
    return int.from_bytes(header[1:], "big")


def _not_avro(schema_id: int, error: Exception) -> PermanentError:
    # Which exception garbage ends in depends on its bytes: there is no common one to name.
    message = f"the value is not Avro of schema id {schema_id} ({type(error).__name__})"
    return PermanentError(message, reason=NOT_AVRO)


def schema_ids(values: Iterable[bytes | None]) -> set[int]:
    """Return the schema ids in the headers of a chunk's values; other values are passed over."""
    headers = {value[:HEADER_BYTES] for value in values if value is not None}
    return {_id(header) for header in headers if len(header) == HEADER_BYTES and not header[0]}


def _drop_oldest(remembered: dict[int, _Kept], *, keep: set[int]) -> None:
    """Keep the memory within bounds: ids come from outside, and garbage has four billion of them.

    Those of the chunk at hand stay, however many: `decode` must answer for each of them.
    """
    excess = len(remembered) - MAX_REMEMBERED
    for schema_id in [i for i in islice(remembered, max(excess, 0)) if i not in keep]:
        del remembered[schema_id]
