"""Reads a few fields of an Avro record and steps over the others, checked to the last byte.

Reading two of seventeen fields costs a third of decoding all of them, a fifteenth where it is compiled.

Encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from fastavro.schema import expand_schema

from fleet import native
from schemas.projection.classify import MAX_PATHS, Classes, Classifier, ClassWriter, UnclassedError
from schemas.projection.program import FieldWriter
from schemas.projection.source import SourceWriter
from schemas.projection.walk import Projection, ProjectionError

if TYPE_CHECKING:
    from schemas.projection.walk import Walk, Wanted

__all__ = [
    "Classes",
    "Classifier",
    "Projection",
    "ProjectionError",
    "UnclassedError",
    "compile_classifier",
    "compile_projection",
]

_compiled = native.load("schemas.projection._run")


def compile_projection(schema: Any, wanted: Collection[str]) -> Projection:
    """Return ``function(value, start)`` that reads the fields `wanted` of a record, as fastavro would.

    Args:
        schema: The writer's schema, a record; names in `wanted` that it has not are passed over.
        wanted: Names of fields, ``payer`` for all of it, ``payer.id`` for that alone of it.

    Raises:
        ProjectionError: The schema is no record, or refers to itself; the function raises it, or
            IndexError, or what fastavro raises, for bytes that are not of the schema.
    """
    return projected(SourceWriter() if _compiled is None else FieldWriter(_compiled), schema, wanted)


def projected(writer: SourceWriter | FieldWriter, schema: Any, wanted: Collection[str]) -> Projection:
    """Return what `compile_projection` does, written by `writer`."""
    _write(writer, schema, wanted)
    return writer.compiled()


def compile_classifier(schema: Any, tests: Mapping[str, Classes]) -> Classifier | None:
    """Return ``function(value, start)`` that gives the classes of the fields of `tests`, a byte each.

    It gives None for a value whose classes cannot be told; None is returned without the compiled module.

    Args:
        schema: The writer's schema, a record.
        tests: The tests by path, ``payer.id``: 64 at most, none within another.

    Raises:
        UnclassedError: Values of a field have no classes, in this schema.
        ProjectionError: As `compile_projection`.
    """
    if _compiled is None:
        return None
    if len(tests) > MAX_PATHS:
        raise ProjectionError("more fields are tested than can be classed")
    writer = ClassWriter(_compiled, tests)
    _write(writer, schema, tests)
    return writer.classifier()


def _write(writer: Walk[Any], schema: Any, wanted: Collection[str]) -> None:
    try:
        expanded: Any = expand_schema(schema)
    except RecursionError:
        raise ProjectionError("the schema refers to itself") from None
    if not isinstance(expanded, dict) or expanded.get("type") != "record":
        raise ProjectionError("the schema is no record")
    writer.fields(expanded["fields"], _nested(wanted), writer.target)


def _nested(names: Collection[str]) -> Wanted:
    found: dict[str, Any] = {}
    for name in sorted(names):  # The whole of a record comes before its parts.
        *outer, last = name.split(".")
        within: dict[str, Any] | None = found
        for part in outer:
            within = within.setdefault(part, {}) if within is not None else None
        if within is not None:
            within[last] = None
    return found
