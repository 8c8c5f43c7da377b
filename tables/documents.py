"""Definitions as text that people keep in files: YAML in a stable order, and what differs between two."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec
import yaml

from tables.errors import InvalidInputError

Document: TypeAlias = dict[str, Any]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ABSENT: Final = object()


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as people do, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def defaults_of(struct: type[msgspec.Struct]) -> Document:
    """Return the fields of a struct that have a default, with it, as JSON values."""
    return {
        field.encode_name: msgspec.json.decode(msgspec.json.encode(field.default))
        for field in msgspec.structs.fields(struct)
        if field.default is not msgspec.NODEFAULT
    }


def dump(content: Any) -> str:
    """Return `content` as YAML, members in the order that they have."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def load_list(text: str | bytes, *, source: str, of: str) -> list[Document]:
    """Return the list of objects in a YAML text (JSON is YAML).

    Args:
        text: The text.
        source: What it is, for people: a path, ``the body``.
        of: What the list is of, for people: ``rules``.

    Raises:
        InvalidInputError: It is no such list, or refers to parts of itself.
    """
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506 - one of the two safe loaders
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, list):
        raise InvalidInputError(f"{source} must hold a list of {of}")
    _refuse_aliases(found, source)
    for number, each in enumerate(found, start=1):
        if not isinstance(each, dict) or not all(isinstance(name, str) for name in each):
            raise InvalidInputError(f"{source}: entry {number} must be an object", hint=f"list {of}")
    return found


def _refuse_aliases(found: list[Any], source: str) -> None:
    # A few lines of aliases can stand for more than any memory holds.
    seen: set[int] = set()
    left: list[Any] = [found]
    while left:
        node = left.pop()
        if not isinstance(node, list | dict):
            continue
        if id(node) in seen:
            raise InvalidInputError(f"{source} uses YAML aliases", hint="write each part out")
        seen.add(id(node))
        left.extend(node.values() if isinstance(node, dict) else node)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the fields that differ, with both values; a field that one has not is None there."""
    left, right = dict(_flat(before)), dict(_flat(after))
    return [
        {"field": field, "from": left.get(field), "to": right.get(field)}
        for field in {**left, **right}
        if left.get(field, _ABSENT) != right.get(field, _ABSENT)
    ]


def _flat(document: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def unified(before: str, after: str, labels: tuple[str, str]) -> str:
    """Return two texts as a unified diff, empty where they are the same."""
    lines: Iterable[str] = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), *labels
    )
    return "".join(lines)
