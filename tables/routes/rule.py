"""A routing rule: what a team writes, checked before it becomes active."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Final

import msgspec

from fleet.cel.condition import Condition, compile_condition
from fleet.cel.errors import ExpressionError
from fleet.cel.expression import Expression, compile_expression
from tables.routes.errors import RuleError
from tables.routes.target import TargetTemplate, parse_target

MAX_TARGETS: Final = 100
MAX_FIELDS: Final = 200
"""Fields of one projection."""
EVERY: Final = "*"
"""What stands for any run of characters in a pattern of event types."""
_PATH: Final = re.compile(r" - at `\$\.?(?P<field>[a-z_.]*)(?P<rest>.*)`$")
_MEMBER: Final = re.compile(
    r"^Object (?P<what>missing required|contains unknown) field `(?P<field>.*?)`"
    r"(?: - at `\$\.(?P<of>[a-z_]+)`)?$"
)
_HINTS: Final = {
    "name": "use lower-case letters, digits, '.', '_' and '-', at most 128 characters",
    "version": "use a whole number from 1",
    "owner": "name the owning team in lower-case letters, digits, '.', '_' and '-'",
    "source": "name the event type, e.g. canonical.claim, or a pattern, e.g. canonical.*",
    "targets": f"list 1 to {MAX_TARGETS} topic names of letters, digits, '.', '_' and '-'",
    "state": "use draft, active, paused or deleted",
    "projection": "give keep: [field], rename: {new: field} and compute: {new: expression}",
    "valid_from": "write a time with its zone, e.g. 2026-01-31T00:00:00Z",
    "valid_until": "write a time with its zone, e.g. 2026-01-31T00:00:00Z",
    "priority": "use a whole number within a million of 0; the lowest is tried first",
}

_Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}\Z")]
_EventType = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9*][A-Za-z0-9._*-]{0,248}\Z")]
_Group = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9._-]{0,127})?\Z")]
_Targets = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_TARGETS)]
_Field = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
_Priority = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class State(Enum):
    """Life of a rule: only ``active`` rules route."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


class Projection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the copies of a rule hold in place of the whole event.

    Attributes:
        keep: Fields of the event that stay as they are.
        rename: Fields of the event by the name that they get.
        compute: Expressions by the name that their value gets.
    """

    keep: tuple[_Field, ...] = ()
    rename: dict[_Field, _Field] = {}
    compute: dict[_Field, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its fields, in order."""
        return (*self.keep, *self.rename, *self.compute)


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """One version of a routing rule; the value of its name in ``fleet.config.routes``.

    Attributes:
        name: Unique name, the key in the table.
        version: Counts up by one with every change.
        owner: Team that answers for the rule.
        source: Event type whose events it looks at, or a pattern in which ``*`` is any run of characters.
        targets: Topics that get a copy of each matching event; ``{region}`` is filled in from the attribute.
        condition: CEL over ``attributes`` and ``event``; empty is always true.
        projection: What the copies hold, in place of the whole event.
        key: CEL that gives the key of the copies, a string; empty keeps the key.
        group: Of the rules of one group only the first that matches routes; empty for a rule by itself.
        priority: Place within its group, lowest first, then by name.
        default: Whether it routes only what no other rule matched: none of its group, or none at all.
        valid_from: It routes events published from then on; None for all.
        valid_until: It routes events published before; None for all.
        state: Whether it routes.
        description: What it is for, in a sentence.
        output_schema: Schema id of what its projection gives; the platform sets it.
    """

    name: _Slug
    version: Annotated[int, msgspec.Meta(ge=1)]
    owner: _Slug
    source: _EventType
    targets: _Targets
    condition: str = "true"
    projection: Projection | None = None
    key: str = ""
    group: _Group = ""
    priority: _Priority = 0
    default: bool = False
    valid_from: _Instant | None = None
    valid_until: _Instant | None = None
    state: State = State.DRAFT
    description: str = ""
    output_schema: int | None = None

    @property
    def compiled(self) -> Condition:
        """The condition, compiled once per text.

        Raises:
            RuleError: The condition does not parse or is not supported.
        """
        try:
            return compile_condition(self.condition)
        except ExpressionError as error:
            raise RuleError.in_field("condition", error) from None

    @property
    def compiled_key(self) -> Expression | None:
        """What gives the key of the copies; None where they keep the event's.

        Raises:
            RuleError: It does not parse or is not supported.
        """
        return _expression("key", self.key) if self.key.strip() else None

    @property
    def computed(self) -> dict[str, Expression]:
        """What gives the computed fields of the copies, by name.

        Raises:
            RuleError: One does not parse or is not supported.
        """
        texts = {} if self.projection is None else self.projection.compute
        return {name: _expression(f"projection.compute.{name}", text) for name, text in texts.items()}

    @property
    def templates(self) -> tuple[TargetTemplate, ...]:
        """The targets, ready to be filled in.

        Raises:
            RuleError: One is no topic and no template of one.
        """
        return tuple(map(parse_target, self.targets))

    def looks_at(self, event_type: str) -> bool:
        """Return whether it looks at events of this type."""
        return matches(self.source, event_type)


def matches(source: str, event_type: str) -> bool:
    """Return whether the source of a rule, a type or a pattern, covers `event_type`."""
    first, *rest = source.split(EVERY)
    if not rest:
        return source == event_type
    *inner, last = rest
    at, end = len(first), len(event_type) - len(last)
    if at > end or not (event_type.startswith(first) and event_type.endswith(last)):
        return False
    for piece in inner:
        # The leftmost place leaves most for the pieces that follow.
        at = event_type.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def _expression(field: str, text: str) -> Expression:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        raise RuleError.in_field(field, error) from None


def parse_rule(data: bytes | Mapping[str, Any]) -> Rule:
    """Return the rule in `data`, with everything in it checked that needs no schema.

    Args:
        data: The rule as JSON, or as the mapping that a YAML file gives.

    Raises:
        RuleError: Names the rule, the field and the reason; for an expression also line and column.
    """
    try:
        found = msgspec.json.decode(data) if isinstance(data, bytes) else data
    except msgspec.DecodeError as error:
        raise RuleError(f"rule is not JSON: {error}") from None
    except RecursionError:
        raise RuleError("rule is not JSON of a rule: nested too deeply") from None
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise RuleError("rule must be an object with name, version, owner, source and targets")
    try:
        rule = msgspec.convert(dict(found), Rule)
        _check(rule)
    except msgspec.ValidationError as error:
        raise _named(_translated(str(error)), found) from None
    except RuleError as error:
        raise _named(error, found) from None
    return rule


def _check(rule: Rule) -> None:
    for target in rule.templates:
        if target.text == rule.source:
            raise _refused(
                "targets", f"{target.text!r} is the source, events would go round", "choose another topic"
            )
    if len(set(rule.targets)) != len(rule.targets):
        raise _refused("targets", "a topic is named twice", "name each topic once")
    if rule.valid_from and rule.valid_until and rule.valid_from >= rule.valid_until:
        raise _refused("valid_until", "is not after valid_from", "give a later time")
    if rule.projection is not None:
        _check_projection(rule.projection)
    _ = rule.compiled, rule.compiled_key, rule.computed


def _check_projection(projection: Projection) -> None:
    names = projection.names
    if not 0 < len(names) <= MAX_FIELDS:
        raise _refused("projection", f"has {len(names)} fields", f"give 1 to {MAX_FIELDS}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refused("projection", f"two fields are called {twice[0]!r}", "give each its own name")


def _refused(field: str, what: str, hint: str) -> RuleError:
    return RuleError(f"{field}: {what}", field=field, hint=hint)


def _translated(message: str) -> RuleError:
    """Turn msgspec's words and path into a field and a reason."""
    member = _MEMBER.match(message)
    if member:
        missing = member["what"].startswith("missing")
        owner, known = (
            ("projection", Projection.__struct_fields__)
            if member["of"] == "projection"
            else ("rule", Rule.__struct_fields__)
        )
        reason = "is required" if missing else f"is not a field of a {owner}"
        hint = _HINTS.get(member["field"], "") if missing else f"known: {', '.join(known)}"
        return RuleError(f"{member['field']} {reason}", field=member["field"], hint=hint)
    path = _PATH.search(message)
    field = path["field"].rstrip(".") if path else ""
    reason = re.sub(
        r"matching regex '.*'", "of the allowed form", message[: path.start()] if path else message
    )
    reason = reason.replace("`", "").replace("Expected", "expected").replace("Invalid", "invalid")
    hint = _HINTS.get(field.split(".")[0], "")
    return RuleError(f"{field}: {reason}" if field else reason, field=field, hint=hint)


def _named(error: RuleError, found: Mapping[str, Any]) -> RuleError:
    name = found.get("name")
    return error.of(name) if isinstance(name, str) else error
