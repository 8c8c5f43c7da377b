"""Targets of rules: a topic, or a template of one that attributes of the event fill in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tables.routes.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORM: Final = "fleet."
"""How the names of the platform's own topics begin: no rule writes to them."""

_PART: Final = re.compile(r"\{(?P<attribute>[^{}]*)\}|(?P<literal>[^{}]+)|(?P<stray>[{}])")
_ATTRIBUTE: Final = re.compile(r"[a-z0-9_]{1,64}\Z")
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}\Z")
_HINT: Final = "name attributes in braces, e.g. claims.{region}"


@dataclass(frozen=True, slots=True)
class TargetTemplate:
    """A target as a rule writes it.

    Attributes:
        text: As written, e.g. ``claims.{region}``.
        parts: Literal text and names of attributes in turn, a literal first.
        attributes: The names.
    """

    text: str
    parts: tuple[str, ...]
    attributes: frozenset[str]

    @property
    def pattern(self) -> str:
        """The topics that it can name, with ``*`` for each attribute."""
        return "*".join(self.parts[::2])

    def topic(self, attributes: Mapping[str, str]) -> str:
        """Return the topic for an event with these attributes.

        Raises:
            TargetError: An attribute is missing, or the result is no topic that a rule may write to.
        """
        if not self.attributes:
            return self.text
        missing = sorted(self.attributes - attributes.keys())
        if missing:
            raise TargetError(f"target {self.text}: the event has no attribute {missing[0]!r}")
        filled = "".join(attributes[part] if number % 2 else part for number, part in enumerate(self.parts))
        if not _TOPIC.match(filled) or filled.startswith(PLATFORM):
            raise TargetError(f"target {self.text}: its attributes make no name of a topic of a team")
        return filled


class TargetError(Exception):
    """The attributes of an event make no topic of a target."""


@lru_cache(maxsize=4096)
def parse_target(text: str) -> TargetTemplate:
    """Return the target in `text`.

    Raises:
        RuleError: It is neither a topic nor a template of one, or a topic of the platform.
    """
    parts = [""]
    for found in _PART.finditer(text):
        attribute, literal = found["attribute"], found["literal"]
        if literal is not None:
            parts[-1] += literal
        elif attribute is not None and _ATTRIBUTE.match(attribute):
            parts += [attribute, ""]
        else:
            raise _refused(f"{text!r} is no template of a topic", _HINT)
    # With a letter for each attribute the rest must be the name of a topic.
    if not _TOPIC.match("x".join(parts[::2])):
        raise _refused(f"{text!r} is no name of a topic", "use letters, digits, '.', '_' and '-'")
    if parts[0].startswith(PLATFORM):
        raise _refused(f"{text!r} belongs to the platform", "choose a topic of a team")
    return TargetTemplate(text, tuple(parts), frozenset(parts[1::2]))


def _refused(what: str, hint: str) -> RuleError:
    return RuleError(f"targets: {what}", field="targets", hint=hint)
