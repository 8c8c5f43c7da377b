"""The named types of an Avro schema, for schemas that hold parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastavro.schema import fullname

if TYPE_CHECKING:
    from collections.abc import Collection

AvroSchema = dict[str, Any]

PROTECTED: Final = "pii"
"""Property of a field whose contents are protected; its value is their class, such as ``phi``."""

_PARTS: Final = frozenset({"items", "values"})
_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})


class NamedTypes:
    """The named types of a parsed schema, each of which is written out where it is used first."""

    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema
        self._known: dict[str, AvroSchema] = {}
        self._written: set[str] = set()
        self._collect(schema)

    def _collect(self, schema: Any) -> None:
        if isinstance(schema, list):
            for branch in schema:
                self._collect(branch)
        elif isinstance(schema, dict):
            if "name" in schema and schema["type"] in _NAMED:
                self._known[fullname(schema)] = schema
            for field in schema.get("fields", ()):
                self._collect(field["type"])
            for part in _parts(schema):
                self._collect(part)

    def written(self, schema: Any) -> Any:
        """Return `schema` with each named type written out at its first use, and by name after that."""
        if isinstance(schema, list):
            return [self.written(branch) for branch in schema]
        if isinstance(schema, str):
            known = self._known.get(schema)
            return schema if known is None else self.written(known)
        if "name" in schema:
            full = fullname(schema)
            if full in self._written:
                return full
            self._written.add(full)
        found = {key: value for key, value in schema.items() if not key.startswith("__")}
        for part in _PARTS & found.keys():
            found[part] = self.written(found[part])
        if "fields" in found:
            found["fields"] = [{**field, "type": self.written(field["type"])} for field in found["fields"]]
        return found

    def protected(self, paths: Collection[str]) -> Any:
        """Return how the schema classes what is read: the class of the first field that has one."""
        classes = (self._protected(self._schema, path.split("."), frozenset()) for path in sorted(paths))
        return next(filter(None, classes), None)

    def _protected(self, schema: Any, path: list[str], within: frozenset[str]) -> Any:
        """Look at the fields along `path`, and at all that is within the last; a record may hold itself."""
        if isinstance(schema, list):
            return next(filter(None, (self._protected(branch, path, within) for branch in schema)), None)
        if isinstance(schema, str):
            schema = self._known.get(schema, {})
        if "fields" not in schema:
            return next(filter(None, (self._protected(part, path, within) for part in _parts(schema))), None)
        if not path and fullname(schema) in within:
            return None
        within |= {fullname(schema)}
        for field in schema["fields"]:
            if not path or field["name"] == path[0]:
                found = field.get(PROTECTED) or self._protected(field["type"], path[1:], within)
                if found:
                    return found
        return None


def _parts(schema: AvroSchema) -> list[Any]:
    return [schema[part] for part in sorted(_PARTS & schema.keys())]
