"""Which dead letters are meant."""

from __future__ import annotations

import msgspec

from tables.dead_letters.letter import Letter, State


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters; what is empty does not matter.

    Attributes:
        agent: Agent that refused the record.
        reason: Why.
        step: Step that refused it.
        rule: The routing rule at work, ``name`` or ``name@version``.
        source: Topic that the record came from.
        since_ms: Set aside at or after this, epoch milliseconds.
        until_ms: Set aside before this; 0 for now.
        state: What was done about it; empty for all but purged ones.
    """

    agent: str = ""
    reason: str = ""
    step: str = ""
    rule: str = ""
    source: str = ""
    since_ms: int = 0
    until_ms: int = 0
    state: str = ""

    def takes(self, letter: Letter) -> bool:
        """Return whether `letter` is one of them."""
        return (
            self.agent in ("", letter.agent)
            and self.reason in ("", letter.reason)
            and self.step in ("", letter.step)
            and self.rule in ("", letter.rule, letter.rule.partition("@")[0])
            and self.source in ("", letter.source_topic)
            and self.since_ms <= letter.failed_at_ms
            and (not self.until_ms or letter.failed_at_ms < self.until_ms)
            and (letter.state is not State.PURGED if not self.state else self.state == letter.state)
        )
