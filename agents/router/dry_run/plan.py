"""From what somebody asks to what a dry-run does: which rules there are, and which there would be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agents.router.dry_run.job import Document, Job, Range
from tables.errors import InvalidInputError, NotFoundError
from tables.routes.rule import Rule, State, parse_rule

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MAX_RULES: Final = 1_000
_PATH: Final = re.compile(r" - at `\$\.(?P<field>[a-z_]+).*`$")
_HINT: Final = "see `rules`, `without`, `topics`, `since`, `until`, `from_offset`, `until_offset`, `sample`"


class Request(Range, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks.

    Attributes:
        rules: Rules that would be active: names of stored ones, or whole rules; one of the name of a stored
            rule stands in its place.
        without: Names of rules that would not be there.
    """

    rules: tuple[str | Document, ...] = ()
    without: tuple[str, ...] = ()


def parse_request(content: Mapping[str, Any]) -> Request:
    """Return the request in a JSON object.

    Raises:
        InvalidInputError: It is refused; names the field.
    """
    try:
        request = msgspec.convert(content, Request, strict=True)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        field = found["field"] if found else ""
        reason = _PATH.sub("", str(error)).replace("`", "")
        raise InvalidInputError(
            f"{field}: {reason}" if field else reason, field=field, hint="" if field else _HINT
        ) from None
    if not request.rules and not request.without:
        hint = "give rules that would be active, or names of some that would not be"
        raise InvalidInputError("nothing would change", field="rules", hint=hint)
    if len(request.rules) > MAX_RULES:
        hint = f"give at most {MAX_RULES}"
        raise InvalidInputError(f"rules has {len(request.rules)} rules", field="rules", hint=hint)
    _check_order(request)
    return request


def _check_order(request: Request) -> None:
    if request.since and request.until and request.since >= request.until:
        raise InvalidInputError("until is not after since", field="until", hint="give a later time")
    first, last = request.from_offset, request.until_offset
    if first is not None and last is not None and first >= last:
        hint = "give a larger offset"
        raise InvalidInputError("until_offset is not after from_offset", field="until_offset", hint=hint)


def plan(request: Request, rules: Mapping[str, Rule], offset: int, sources: Collection[str]) -> Job:
    """Return what the dry-run of a request does.

    Args:
        request: What is asked.
        rules: All rules by name, as they are.
        offset: Next offset of the rules topic, as of them.
        sources: Topics that the router reads.

    Raises:
        NotFoundError: A rule that is named is not there.
        InvalidInputError: A topic that is named is none that the router reads.
        RuleError: A rule that is given whole is refused.
    """
    for topic in request.topics:
        if topic not in sources:
            hint = f"it reads {', '.join(sorted(sources))}"
            raise InvalidInputError(f"topics: the router does not read {topic!r}", field="topics", hint=hint)
    kept = {name: rule for name, rule in rules.items() if rule.state is not State.DELETED}
    after = dict(kept)
    for name in request.without:
        if after.pop(name, None) is None:
            raise _missing(name)
    for each in request.rules:
        draft = _draft(each, rules)
        after[draft.name] = draft
    fields = {name: getattr(request, name) for name in Range.__struct_fields__}
    return Job(
        range=Range(**{**fields, "topics": request.topics or tuple(sorted(sources))}),
        baseline=_documents(kept),
        draft=_documents(after),
        offset=offset,
    )


def _draft(given: str | Document, rules: Mapping[str, Rule]) -> Rule:
    """Return a rule as it would be once it is active."""
    if isinstance(given, str):
        stored = rules.get(given)
        if stored is None or stored.state is State.DELETED:
            raise _missing(given)
        if stored.state is State.ACTIVE:
            hint = "give the rule as it would be, or name it in `without`"
            raise InvalidInputError(f"rules: {given!r} is active already", field="rules", hint=hint)
        version = stored.version + 1  # Activating it writes its next version.
        return msgspec.structs.replace(stored, state=State.ACTIVE, version=version)
    name = given.get("name")
    there = rules.get(name) if isinstance(name, str) else None
    version = 1 if there is None else there.version + 1
    return parse_rule({**given, "version": version, "state": State.ACTIVE.value})


def _documents(rules: Mapping[str, Rule]) -> tuple[Document, ...]:
    return tuple(msgspec.to_builtins(rules[name]) for name in sorted(rules))


def _missing(name: str) -> NotFoundError:
    return NotFoundError(f"no rule {name!r}", hint="see the list for those there are")
