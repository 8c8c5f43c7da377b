"""What rules say about one event: where it goes, and which of them could not be decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tables.routes.reach import MAX_REACH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tables.routes.rule import Rule

MAX_COPIES: Final = MAX_REACH
"""Copies of one event, over all rules: more is a dead letter, not a flood."""

CONDITION: Final = "condition"
TARGET: Final = "target"


class Target(NamedTuple):
    """A copy to deliver: the topic, and the rule version that asked for it."""

    topic: str
    rule: str
    version: int


class Failure(NamedTuple):
    """A rule that could not be followed for this event, and why (free of event contents).

    Attributes:
        rule: Name of the rule.
        version: Its version.
        reason: One line for people.
        step: ``condition``, or ``target`` where the event makes no topic of a target of it.
    """

    rule: str
    version: int
    reason: str
    step: str = CONDITION


class Decision(NamedTuple):
    """What the rules say about one event.

    Attributes:
        targets: Each topic once; where several rules name it, the first by rule name.
        errors: Rules that failed. Each is a dead letter beside the copies in `targets`, which are delivered.
        matched: Names of the rules that matched and that no other of their group came before.
        defaulted: Whether default rules without a group were passed over because of an error.
    """

    targets: tuple[Target, ...] = ()
    errors: tuple[Failure, ...] = ()
    matched: tuple[str, ...] = ()
    defaulted: bool = False


UNMATCHED: Final = Decision()


class Redrive(NamedTuple):
    """What a dead letter that is done again is about: the rest of its event was delivered at the first time.

    Attributes:
        rule: Name of the rule.
        topic: The copy that was refused; empty where the rule could not be followed at all.
        defaulted: Whether default rules wait for it, see `Decision`.
    """

    rule: str
    topic: str = ""
    defaulted: bool = False

    def of(self, decision: Decision, rules: Mapping[str, Rule]) -> Decision:
        """Return the part of a decision that is still to be done.

        Args:
            decision: What the rules say of the whole event.
            rules: The rules of its type by name.
        """
        own = rules.get(self.rule)
        group = "" if own is None else own.group

        def counts(name: str) -> bool:
            other = rules[name]
            waits = self.defaulted and other.default and not other.group
            return name == self.rule or waits or bool(group and other.group == group)

        return Decision(
            tuple(
                target
                for target in decision.targets
                if counts(target.rule) and self.topic in ("", target.topic)
            ),
            tuple(failure for failure in decision.errors if counts(failure.rule)),
            tuple(name for name in decision.matched if counts(name)),
            decision.defaulted,
        )


def chosen(
    rules: Iterable[Rule], failed: Mapping[str, Failure]
) -> tuple[list[Rule], dict[str, Failure], bool]:
    """Return which of the rules that match an event route it, and which failures count.

    In a group the first that matches routes, and nothing after a rule that failed: whether it would have
    matched is not known, so its dead letter stands for the rest of the group too. Default rules have
    their turn after the others of their group; those without a group after all rules, and only where
    nothing failed.

    Args:
        rules: Rules that match, or failed, in the order of their names.
        failed: Failures by name of rule.

    Returns:
        The rules that route, in the order of their names; failures by name; whether default rules were passed
        over because of one.
    """
    routing: list[Rule] = []
    counted: dict[str, Failure] = {}
    settled: set[str] = set()
    last: list[Rule] = []
    for rule in sorted(rules, key=_place):
        if rule.default and not rule.group:
            last.append(rule)
        elif rule.group not in settled:
            if rule.group:
                settled.add(rule.group)
            if rule.name in failed:
                counted[rule.name] = failed[rule.name]
            else:
                routing.append(rule)
    passed_over = bool(counted and last and not routing)
    if not routing and not counted:
        counted = {rule.name: failed[rule.name] for rule in last if rule.name in failed}
        routing = [rule for rule in last if rule.name not in failed]
    return sorted(routing, key=_name), dict(sorted(counted.items())), passed_over


def _place(rule: Rule) -> tuple[bool, int, str]:
    # By itself a rule without a group has no place: only that defaults come last matters.
    return rule.default, rule.priority, rule.name


def _name(rule: Rule) -> str:
    return rule.name
