"""The checks of a run: files and aggregates reconcile, or it is seen which do not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agents.normalizer.ledger import Ledger
from fleet.cli.run.aggregates import BY_DAY, BY_PROVIDER, ByProvider, Sums, checks, minus, plus, total

FILES = {"1": Sums(2, Decimal("10.10")), "no-npi": Sums(1, Decimal("0.05"))}


def a_ledger() -> Ledger:
    """Return a ledger of `FILES`."""
    ledger = Ledger(claims=3, total=Decimal("10.15"))
    for npi, sums in FILES.items():
        ledger.claims_by_provider[npi] = sums.claims
        ledger.by_provider[npi] = sums.charges
    return ledger


def broken(found: dict[str, ByProvider]) -> list[str]:
    """Return the names of the checks that do not hold."""
    return [check.name for check in checks(a_ledger(), found) if not check.holds]


def test_what_is_in_both_reconciles() -> None:
    """All checks hold, of both aggregations."""
    assert broken({BY_PROVIDER: FILES, BY_DAY: FILES}) == []
    assert len(checks(a_ledger(), {BY_PROVIDER: FILES, BY_DAY: FILES})) == 6


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ({"1": FILES["1"]}, ["claims", "charges", "providers"]),
        ({**FILES, "1": Sums(2, Decimal("10.09"))}, ["charges", "providers"]),
        ({**FILES, "1": Sums(3, Decimal("10.10"))}, ["claims", "providers"]),
        ({"1": FILES["no-npi"], "no-npi": FILES["1"]}, ["providers"]),
        ({**FILES, "2": Sums(1, Decimal(1))}, ["claims", "charges", "providers"]),
    ],
    ids=["lost", "a cent", "twice", "of another", "from nowhere"],
)
@pytest.mark.parametrize("name", [BY_PROVIDER, BY_DAY])
def test_what_differs_is_seen(name: str, found: ByProvider, names: list[str]) -> None:
    """One missing, a cent, a claim too many, two mixed up: seen in the aggregation that has it."""
    what = "aggregated" if name == BY_PROVIDER else "by day"
    wrong = broken({BY_PROVIDER: FILES, BY_DAY: FILES, name: found})
    assert [each.split()[0] for each in wrong] == names
    assert all(what in each for each in wrong)


def test_sums_are_of_one_run_alone() -> None:
    """What was there before is taken off, by provider; who has nothing new is left out."""
    later = plus(FILES, {"1": Sums(1, Decimal("0.01")), "2": Sums(4, Decimal(4))})
    assert minus(later, FILES) == {"1": Sums(1, Decimal("0.01")), "2": Sums(4, Decimal(4))}
    assert total(later) == Sums(8, Decimal("14.16"))
    assert total({}) == Sums()
