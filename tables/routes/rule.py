"""A routing rule: what a team writes, checked before it becomes active."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Final

import msgspec

from fleet.cel.condition import Condition, compile_condition
from fleet.cel.errors import ExpressionError
from tables.routes.errors import RuleError

MAX_TARGETS: Final = 100
_PLATFORM: Final = "fleet."
_PATH: Final = re.compile(r" - at `\$\.?(?P<field>[a-z_]*)(?P<rest>.*)`$")
_MEMBER: Final = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<field>.*)`$")
_HINTS: Final = {
    "name": "use lower-case letters, digits, '.', '_' and '-', at most 128 characters",
    "version": "use a whole number from 1",
    "owner": "name the owning team in lower-case letters, digits, '.', '_' and '-'",
    "source": "name the event type, e.g. canonical.claim",
    "targets": f"list 1 to {MAX_TARGETS} topic names of letters, digits, '.', '_' and '-'",
    "state": "use draft, active or paused",
}

_Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}\Z")]
_EventType = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,248}\Z")]
_Topic = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}\Z")]
_Targets = Annotated[tuple[_Topic, ...], msgspec.Meta(min_length=1, max_length=MAX_TARGETS)]


class State(Enum):
    """Life of a rule: only ``active`` rules route."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """One version of a routing rule; the value of its name in ``fleet.config.routes``.

    Attributes:
        name: Unique name, the key in the table.
        version: Counts up by one with every change.
        owner: Team that answers for the rule.
        source: Event type whose events it looks at.
        targets: Topics that get a copy of each matching event.
        condition: CEL over ``attributes`` and ``event``; empty is always true.
        state: Whether it routes.
        description: What it is for, in a sentence.
    """

    name: _Slug
    version: Annotated[int, msgspec.Meta(ge=1)]
    owner: _Slug
    source: _EventType
    targets: _Targets
    condition: str = "true"
    state: State = State.DRAFT
    description: str = ""

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


def parse_rule(data: bytes | Mapping[str, Any]) -> Rule:
    """Return the rule in `data`, with everything in it checked.

    Args:
        data: The rule as JSON, or as the mapping that a YAML file gives.

    Raises:
        RuleError: Names the rule, the field and the reason; for a condition also line and column.
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
        _check_targets(rule)
        _ = rule.compiled
    except msgspec.ValidationError as error:
        raise _named(_translated(str(error)), found) from None
    except RuleError as error:
        raise _named(error, found) from None
    return rule


def _check_targets(rule: Rule) -> None:
    for target in rule.targets:
        if target.startswith(_PLATFORM):
            hint = "choose a topic of a team"
            raise RuleError(f"targets: {target!r} belongs to the platform", field="targets", hint=hint)
        if target == rule.source:
            hint = "choose another topic"
            raise RuleError(
                f"targets: {target!r} is the source, events would go round", field="targets", hint=hint
            )
    if len(set(rule.targets)) != len(rule.targets):
        raise RuleError("targets: a topic is named twice", field="targets", hint="name each topic once")


def _translated(message: str) -> RuleError:
    """Turn msgspec's words and path into a field and a reason."""
    member = _MEMBER.match(message)
    if member:
        missing = member["what"].startswith("missing")
        reason = "is required" if missing else "is not a field of a rule"
        hint = _HINTS.get(member["field"], "") if missing else f"known: {', '.join(Rule.__struct_fields__)}"
        return RuleError(f"{member['field']} {reason}", field=member["field"], hint=hint)
    path = _PATH.search(message)
    field = path["field"] if path else ""
    reason = re.sub(
        r"matching regex '.*'", "of the allowed form", message[: path.start()] if path else message
    )
    reason = reason.replace("`", "").replace("Expected", "expected").replace("Invalid", "invalid")
    return RuleError(f"{field}: {reason}" if field else reason, field=field, hint=_HINTS.get(field, ""))


def _named(error: RuleError, found: Mapping[str, Any]) -> RuleError:
    name = found.get("name")
    return error.of(name) if isinstance(name, str) else error
