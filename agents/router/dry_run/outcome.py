"""What would become of an event by one set of rules: its copies, and what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from agents.router.deciding import MAX_HOPS, Copy, Verdict, hops_of
from agents.router.shaping import ShapeError
from fleet.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane import Record
    from tables.routes.rule import Rule

DECODE: Final = "decode"
ROUTE: Final = "route"


class Trouble(NamedTuple):
    """A dead letter that there would be.

    Attributes:
        rule: The rule, ``name@version``; empty where it is none of a rule.
        step: Where it fails, as dead letters say.
        reason: Why, one line, free of event contents.
    """

    rule: str
    step: str
    reason: str


class Outcome:
    """What becomes of events; one object for many of which the same becomes.

    Attributes:
        copies: Rule, ``name@version``, by target topic.
        forms: How the copy differs from the event, by topic; "" where it does not.
        matched: Rules that match.
        troubles: What fails.
    """

    __slots__ = ("copies", "forms", "is_plain", "matched", "troubles")

    def __init__(
        self,
        copies: Mapping[str, str],
        forms: Mapping[str, str],
        matched: tuple[str, ...],
        troubles: tuple[Trouble, ...],
    ) -> None:
        self.copies = copies
        self.forms = forms
        self.matched = matched
        self.troubles = troubles
        self.is_plain = True  # Nothing is left to be made of it.


Made: TypeAlias = "dict[tuple[str, str, int | None], Trouble | None]"
"""What kept key and value of a rule's copy from being made of the event at hand, None where nothing did."""


class Outcomes:
    """Turns verdicts into outcomes.

    Args:
        rules: The set of rules.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._labels = {rule.name: f"{rule.name}@{rule.version}" for rule in rules}
        self._forms = {rule.name: form_of(rule) for rule in rules}
        self._schemas = {rule.name: rule.output_schema for rule in rules}

    def of(self, verdict: Verdict, failed: Mapping[Copy, Trouble] | None = None) -> Outcome:
        """Return what becomes of events of this verdict of which these copies cannot be made."""
        decision, refused = verdict.decision, failed or {}
        made = [copy for copy in verdict.copies if copy not in refused]
        troubles = [Trouble(self._labels[each.rule], each.step, each.reason) for each in decision.errors]
        return Outcome(
            {copy.topic: self._labels[copy.rule] for copy in made},
            {copy.topic: self._forms[copy.rule] for copy in made},
            tuple(self._labels[name] for name in decision.matched),
            (*troubles, *dict.fromkeys(refused.values())),
        )

    def singly(self, verdict: Verdict, record: Record, made: Made) -> Verdict | Outcome:
        """Return what becomes of one event whose copies are not all the event as it is.

        Args:
            verdict: Its verdict.
            record: The event.
            made: What was tried for this event already, also by the other set of rules.
        """
        if verdict.relabels and verdict.copies:
            hops = hops_of(record)
            if hops >= MAX_HOPS:
                trouble = Trouble("", ROUTE, f"routed on {hops} times already")
                return self.of(verdict, dict.fromkeys(verdict.copies, trouble))
        failed: dict[Copy, Trouble] = {}
        for copy in verdict.copies:
            if copy.shape is None:
                continue
            place = self._labels[copy.rule], self._forms[copy.rule], self._schemas[copy.rule]
            if place not in made:
                made[place] = self._tried(copy, record, verdict)
            found = made[place]
            if found is not None:
                failed[copy] = found
        return self.of(verdict, failed) if failed else verdict

    def _tried(self, copy: Copy, record: Record, verdict: Verdict) -> Trouble | None:
        try:
            if copy.shape is not None:
                copy.shape.make(record, verdict.attributes)
        except ShapeError as error:
            return Trouble(self._labels[copy.rule], error.step, error.detail)
        except PermanentError as error:
            return Trouble(self._labels[copy.rule], DECODE, error.message)
        return None


def undecodable(error: PermanentError) -> Outcome:
    """Return what becomes of events that cannot be decoded."""
    return Outcome({}, {}, (), (Trouble("", DECODE, error.message),))


def form_of(rule: Rule) -> str:
    """Return how the copies of a rule differ from the event, equal for rules of which the same comes."""
    if rule.projection is None and not rule.key.strip():
        return ""
    return repr((rule.key, rule.projection))
