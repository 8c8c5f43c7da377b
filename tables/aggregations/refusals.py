"""Refusals of the decoder in words for people: which field, why, and what to write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from fleet.cel.checker_hints import suggestion
from tables.aggregations.errors import AggregationError

_PATH: Final = re.compile(r" - at (?P<key>`key` in )?`\$\.?(?P<field>.*)`$")
_MEMBER: Final = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<field>.*)`$")
_PLACE: Final = re.compile(r"\[\d+\]")
_HINTS: Final = {
    "name": "use lower-case letters, digits, '.', '_' and '-', at most 128 characters",
    "version": "use a whole number from 1",
    "owner": "name the owning team in lower-case letters, digits, '.', '_' and '-'",
    "sources": "list event types, e.g. [canonical.claim]",
    "group_by": "give the parts of the key, e.g. {payer: event.payer.id}",
    "functions": "write e.g. {as: total, function: sum, of: event.total_charge}",
    "windows": "write e.g. {kind: tumbling, size_ms: 60000}",
    "output": "write e.g. {topic: claims.by-payer, mode: finals}",
    "state": "use draft, active, paused or deleted",
    "grace_ms": "give milliseconds, 0 or more",
    "retention_ms": "give milliseconds, 0 or more",
    "limits": "give max_keys and max_state_mib, 1 or more",
}

Parts = Mapping[str, type[msgspec.Struct]]


def translated(message: str, parts: Parts) -> AggregationError:
    """Return the refusal that a message of msgspec's is.

    Args:
        message: As msgspec words it.
        parts: What the parts of a definition are, by where they stand, e.g. ``functions[]``; "" is the whole.
    """
    path = _PATH.search(message)
    field = path["field"] if path else ""
    reason = message[: path.start()] if path else message
    hint = _HINTS.get(re.split(r"[.\[]", field)[0], "")
    member = _MEMBER.match(reason)
    if member:
        return _of_member(member, field, hint, parts)
    reason = re.sub(r"matching regex '.*'", "of the allowed form", reason)
    reason = reason.replace("`", "").replace("Expected", "expected").replace("Invalid", "invalid")
    if path and path["key"]:
        reason = f"a name in it: {reason}"
    return _error(field, reason, hint)


def _of_member(member: re.Match[str], owner: str, hint: str, parts: Parts) -> AggregationError:
    name = member["field"]
    field = f"{owner}.{name}" if owner else name
    if member["what"].startswith("missing"):
        return _error(field, "is required", hint or _HINTS.get(name, ""))
    known = parts.get(_PLACE.sub("[]", owner))
    return _error(field, "is not known", suggestion(name, known.__struct_encode_fields__ if known else ()))


def _error(field: str, reason: str, hint: str) -> AggregationError:
    return AggregationError(f"{field}: {reason}" if field else reason, field=field, hint=hint)
