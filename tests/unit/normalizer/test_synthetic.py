"""Generated claims: repeatable, well formed, and counted by someone else than our parser."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.ledger import count_and_sum
from agents.normalizer.samples import SYSTEMS, generate

START = date(2026, 1, 5)
FILES = list(generate(330, seed=7, claims_per_file=60, start=START))
CLAIMS = [normalise(f.content, system=f.system, file=f.name) for f in FILES]


def _luhn_sum(npi: str) -> int:
    digits = [int(digit) for digit in reversed("80840" + npi)]
    return sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])


def test_parser_generator_and_scan_agree() -> None:
    """Claims and charges by provider are equal in three independent accounts, to the cent."""
    for file, claims in zip(FILES, CLAIMS, strict=True):
        ledger = count_and_sum(file.content)
        assert file.claims == ledger.claims == len(claims)
        assert file.total_cents == ledger.total * 100 == sum(claim.total_charge for claim in claims) * 100
        assert file.cents_by_provider == {npi: charge * 100 for npi, charge in ledger.by_provider.items()}
    assert [file.claims for file in FILES] == [60, 60, 60, 60, 60, 30]


def test_equal_seeds_give_equal_bytes() -> None:
    """A run can be repeated, and another seed is another run."""
    again, other = (list(generate(330, seed=seed, claims_per_file=60, start=START)) for seed in (7, 8))
    assert again == FILES
    assert other != FILES


def test_every_claim_is_its_own() -> None:
    """Claim ids and control numbers are unique over all files."""
    claims = [claim for found in CLAIMS for claim in found]
    assert len({claim.claim_id for claim in claims}) == 330
    assert len({claim.patient_control_number for claim in claims}) == 330


def test_times_ascend_in_each_system_over_three_days() -> None:
    """Event times of a system never go back, and they fill the three days and no more."""
    for system in SYSTEMS:
        times = [
            c.event_time for f, found in zip(FILES, CLAIMS, strict=True) if f.system == system for c in found
        ]
        assert all(earlier <= later for earlier, later in pairwise(times))
    days = {claim.event_time.date() for found in CLAIMS for claim in found}
    assert days == {START + timedelta(days=day) for day in range(3)}


def test_providers_have_valid_npis() -> None:
    """There are several billing providers, and each NPI passes its check digit."""
    npis = {npi for file in FILES for npi in file.cents_by_provider}
    assert len(npis) > 3
    assert all(_luhn_sum(npi) % 10 == 0 for npi in npis)


def test_patients_are_subscribers_and_dependents() -> None:
    """Both branches of the hierarchy occur."""
    assert {claim.patient.relationship for found in CLAIMS for claim in found} == {"18", "19"}
