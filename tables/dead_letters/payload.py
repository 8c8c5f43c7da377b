"""What is in a dead letter, as people read and edit it: JSON where it is Avro or JSON, else text or hex."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date, datetime
from datetime import time as day_time
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import orjson
from fastavro import parse_schema, schemaless_writer

from fleet.errors import PermanentError
from schemas.codec import HEADER_BYTES, Codec, schema_ids
from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from schemas.registry import Registry

AVRO, JSON, TEXT, HEX, NONE = "avro", "json", "text", "hex", "none"
GONE = "gone"
"""Format of a payload that stayed at its source and was deleted there; the content says so."""

FORMATS: Final = (AVRO, JSON, TEXT, HEX, NONE)


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A value in a form that people read.

    Attributes:
        format: ``avro``, ``json``, ``text``, ``hex``, or ``none`` for a record without a value.
        content: JSON of an Avro or JSON value, text or hexadecimal digits.
        schema_id: Registry's id of an Avro value's schema, or None.
    """

    format: str
    content: Any = None
    schema_id: int | None = None


async def shown(value: bytes | None, registry: Registry) -> Payload:
    """Return `value` in the first form that fits.

    Raises:
        TransientError: The registry does not answer.
    """
    if value is None:
        return Payload(format=NONE)
    codec = Codec(registry, confirm_s=0)
    try:
        for schema_id in schema_ids([value]):
            await codec.ensure([schema_id])
            return Payload(format=AVRO, content=_plain(codec.decode(value)), schema_id=schema_id)
    except PermanentError:
        pass  # Not Avro, or of a schema that nobody has: shown as what it is.
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return Payload(format=HEX, content=value.hex())
    try:
        return Payload(format=JSON, content=orjson.loads(text))
    except orjson.JSONDecodeError:
        is_readable = all(char.isprintable() or char in "\r\n\t" for char in text)
        return Payload(format=TEXT, content=text) if is_readable else Payload(format=HEX, content=value.hex())


def shown_key(key: bytes | None) -> Payload:
    """Return a key as people read it."""
    if key is None:
        return Payload(format=NONE)
    text = key.decode(errors="replace")
    is_readable = text.encode() == key and text.isprintable()
    return Payload(format=TEXT, content=text) if is_readable else Payload(format=HEX, content=key.hex())


async def encoded(payload: Payload, registry: Registry) -> bytes | None:
    """Return the value that `payload` stands for.

    Raises:
        InvalidInputError: It is not what its format or its schema asks for.
        PermanentError: The registry does not know the schema.
        TransientError: The registry does not answer.
    """
    match payload.format:
        case "none":
            return None
        case "text" if isinstance(payload.content, str):
            return payload.content.encode()
        case "hex" if isinstance(payload.content, str):
            try:
                return bytes.fromhex(payload.content)
            except ValueError:
                raise _invalid("payload.content is not hexadecimal digits", "content") from None
        case "json":
            return orjson.dumps(payload.content)
        case "avro" if payload.schema_id is not None:
            return await _avro(payload.content, payload.schema_id, registry)
        case "avro":
            raise _invalid("an Avro payload needs its schema_id", "schema_id")
        case "text" | "hex":
            raise _invalid(f"payload.content of format {payload.format} must be text", "content")
    raise _invalid(f"there is no format {payload.format!r}: use {', '.join(FORMATS)}", "format")


def _invalid(message: str, field: str) -> InvalidInputError:
    return InvalidInputError(message, field=f"payload.{field}", hint="send it as it is shown")


async def _avro(content: Any, schema_id: int, registry: Registry) -> bytes:
    schema = parse_schema(await registry.schema(schema_id))
    names: dict[str, Any] = {}
    value = _typed(content, schema, names, "payload.content")
    stream = BytesIO()
    stream.write(b"\x00" + schema_id.to_bytes(HEADER_BYTES - 1, "big"))
    try:
        schemaless_writer(stream, schema, value, strict=True)
    except Exception as error:  # noqa: BLE001 - the type depends on the value: there is no common one
        why = " ".join(str(error).split())[:200]
        raise _invalid(f"payload.content is not of schema id {schema_id}: {why}", "content") from None
    return stream.getvalue()


def _plain(value: Any) -> Any:
    """Return a decoded value as JSON has it: decimals and times as text, bytes as base64."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date | day_time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | UUID) else value


def _typed(value: Any, schema: Any, names: dict[str, Any], where: str) -> Any:
    """Return JSON as the Avro writer wants it; what does not fit is left for it to refuse."""
    if isinstance(schema, list):
        return _of_union(value, schema, names, where)
    schema = names.get(schema, {"type": schema}) if isinstance(schema, str) else schema
    if "name" in schema:
        names[schema["name"]] = schema
    kind = schema["type"]
    if isinstance(kind, dict | list):
        return _typed(value, kind, names, where)
    if (logical := schema.get("logicalType")) in _READ and isinstance(value, str):
        try:
            return _READ[logical](value)
        except (ValueError, InvalidOperation):
            raise _invalid(f"{where}: {value[:50]!r} is no {logical}", "content") from None
    if kind == "array" and isinstance(value, list):
        return [_typed(each, schema["items"], names, f"{where}[{at}]") for at, each in enumerate(value)]
    return _members(value, schema, names, where) if isinstance(value, dict) else _bytes(value, kind, where)


def _members(value: dict[str, Any], schema: Any, names: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the members of a record or of a map."""
    if schema["type"] == "map":
        types: dict[str, Any] = dict.fromkeys(value, schema["values"])
    else:
        types = {field["name"]: field["type"] for field in schema.get("fields", ())}
    return {
        name: _typed(each, types[name], names, f"{where}.{name}") if name in types else each
        for name, each in value.items()
    }


def _of_union(value: Any, branches: list[Any], names: dict[str, Any], where: str) -> Any:
    if value is None:
        return None
    others = [branch for branch in branches if branch != "null"]
    # Of several branches the writer chooses: it has no form for those that JSON cannot tell apart.
    return _typed(value, others[0], names, where) if len(others) == 1 else value


def _bytes(value: Any, kind: str, where: str) -> Any:
    if kind not in ("bytes", "fixed") or not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise _invalid(f"{where} is not base64", "content") from None


_READ: Final[Mapping[str, Any]] = {
    "decimal": Decimal,
    "timestamp-millis": datetime.fromisoformat,
    "timestamp-micros": datetime.fromisoformat,
    "local-timestamp-millis": datetime.fromisoformat,
    "local-timestamp-micros": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time-millis": day_time.fromisoformat,
    "time-micros": day_time.fromisoformat,
    "uuid": UUID,
}
