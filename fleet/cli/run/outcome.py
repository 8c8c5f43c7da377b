"""What a run found, and whether its counts reconcile."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(slots=True)
class Check:
    """An identity that must hold: `found` equals `expected`."""

    name: str
    expected: int | Decimal
    found: int | Decimal

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.expected == self.found


@dataclass(slots=True)
class Outcome:
    """Figures of one run; counts are of this run alone, whatever was there before.

    Attributes:
        files: Files published.
        claims: Claims in the good files, by an independent count.
        charges: Their sum in US dollars, by an independent sum.
        canonical: Canonical events made.
        dead_letters: Count by agent and reason.
        routed: Records by team topic.
        unmatched: Canonical events that no rule matched.
        late: Claims that came after their day had closed.
        top: Providers by charges.
        seconds: From the first publish to the last aggregate, generation included.
        checks: The identities that must hold.
    """

    files: int = 0
    claims: int = 0
    charges: Decimal = Decimal(0)
    canonical: int = 0
    dead_letters: dict[tuple[str, str], int] = field(default_factory=dict)
    routed: dict[str, int] = field(default_factory=dict)
    unmatched: int = 0
    late: int = 0
    top: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    checks: list[Check] = field(default_factory=list)

    @property
    def reconciled(self) -> bool:
        """Whether every identity holds."""
        return all(check.holds for check in self.checks)

    @property
    def claims_per_s(self) -> float:
        """Canonical events a second, end to end."""
        return self.canonical / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the figures for machines; decimals as text."""
        return {
            "reconciled": self.reconciled,
            "files": self.files,
            "claims": self.claims,
            "charges": str(self.charges),
            "canonical": self.canonical,
            "dead_letters": [
                {"agent": agent, "reason": reason, "count": count}
                for (agent, reason), count in sorted(self.dead_letters.items())
            ],
            "routed": dict(sorted(self.routed.items())),
            "unmatched": self.unmatched,
            "late": self.late,
            "top_providers": self.top,
            "seconds": round(self.seconds, 3),
            "claims_per_s": round(self.claims_per_s, 1),
            "checks": [
                {
                    "name": check.name,
                    "expected": str(check.expected),
                    "found": str(check.found),
                    "holds": check.holds,
                }
                for check in self.checks
            ],
        }
