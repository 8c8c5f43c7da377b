"""The form of a dead letter on the wire.

A dead letter is the source record as it was, key, value and headers verbatim, plus headers
that start with ``fleet_dl_``: enough to find the original and to send it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleet.lane.effects import DeadLetter

PREFIX = "fleet_dl_"
ATTEMPT = "attempt"
RULE_HEADER = "fleet_rule"
REKEYED = f"{PREFIX}rekeyed"
"""Header of a dead letter whose key is another than the source record's: that chooses its partition."""

CLAIM_CHECK = "claim_check"
AT_SOURCE = "source"
"""Where the payload is that a claim check stands for: at the source, or ``topic/partition/offset``."""

MAX_DETAIL_CHARS = 500


def dead_letter_headers(agent: str, letter: DeadLetter) -> list[tuple[str, bytes]]:
    """Return the original headers followed by why and where the record failed.

    The added headers are ``reason``, ``step``, ``detail``, ``agent``, the source
    coordinates ``topic``, ``partition``, ``offset`` and ``timestamp`` (epoch ms), and ``attempt``, 1
    where the record was never sent again; ``rule`` and ``target`` where a routing rule made the
    output that its topic refused. Each has the prefix ``fleet_dl_`` and is UTF-8 text.
    """
    record = letter.record
    added = {
        "reason": letter.reason,
        "step": letter.step,
        "detail": str(letter.detail)[:MAX_DETAIL_CHARS],
        "agent": agent,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        ATTEMPT: getattr(record, ATTEMPT, 1),
    }
    headers = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    headers.extend((PREFIX + name, str(value).encode(errors="replace")) for name, value in added.items())
    headers.extend(letter.added)
    headers.extend(getattr(record, "kept", ()))
    return headers


def claim_checks(
    key: bytes | None, headers: list[tuple[str, bytes]], place: str = AT_SOURCE
) -> Iterator[tuple[bytes | None, list[tuple[str, bytes]]]]:
    """Yield the forms of a dead letter whose payload stays at its source, each smaller than the last.

    First without the value alone, then without the original headers too, then without the key.
    """
    checked = [*headers, (PREFIX + CLAIM_CHECK, place.encode())]
    own = [(name, value) for name, value in checked if name.startswith(PREFIX)]
    yield key, checked
    yield key, own
    yield None, own


def reason_of(headers: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Return a dead letter's own headers without their prefix, as text."""
    return {
        name.removeprefix(PREFIX): value.decode(errors="replace")
        for name, value in headers
        if name.startswith(PREFIX)
    }
