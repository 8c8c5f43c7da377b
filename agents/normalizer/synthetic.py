"""Synthetic 837P files from x12sdk's seeded generator, for volume.

The generator makes one transaction of one billing provider at a fixed time. Here many are packed into
interchanges, their providers drawn from a dozen and their times spread, by setting those fields on its
models before it writes them. Counts and sums are read from its models too, never from our own parser.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from x12sdk.generate import SubmissionSpec, ValueFactory, build_837p, random_patients
from x12sdk.io import write_transactions
from x12sdk.v5010.x12_837_005010X222A2.transaction_set import HealthCareClaimProfessional

from agents.normalizer.samples import GeneratedFile

_SPREAD = timedelta(days=3)
_PROVIDERS = 12
_CLAIMS_PER_TRANSACTION = 25
_SENDER_ID_CHARS = 15


@dataclass(frozen=True)
class _Provider:
    npi: str
    name: str
    tax_id: str


def generate(
    claims: int, *, seed: int, systems: Sequence[str], claims_per_file: int, start: date
) -> Iterator[GeneratedFile]:
    """Yield the files of `agents.normalizer.samples.generate`."""
    providers = _providers(seed)
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    for index, first in enumerate(range(0, claims, claims_per_file)):
        last = min(first + claims_per_file, claims)
        transactions = [
            _transaction(
                range(begin, min(begin + _CLAIMS_PER_TRANSACTION, last)),
                seed=random.getrandbits(32),
                control_number=f"{number:04}",
                provider=random.choice(providers),
                created=_instant(start, begin, claims),
            )
            for number, begin in enumerate(range(first, last, _CLAIMS_PER_TRANSACTION), 1)
        ]
        yield _file(systems[index % len(systems)], index + 1, transactions, _instant(start, last, claims))


def _instant(start: date, claim: int, claims: int) -> datetime:
    """Return the time of creation of a claim: an even spread, to the second."""
    return datetime.combine(start, time(), UTC) + timedelta(seconds=_SPREAD.total_seconds() * claim // claims)


def _providers(seed: int) -> list[_Provider]:
    values = ValueFactory(seed)
    return [
        _Provider(values.npi(), f"{values.provider_name()} {number}", values.tax_id())
        for number in range(1, _PROVIDERS + 1)
    ]


def _transaction(
    claims: range, *, seed: int, control_number: str, provider: _Provider, created: datetime
) -> HealthCareClaimProfessional:
    """Build one transaction, then put in the provider and the time that the builder does not take."""
    transaction = build_837p(_submission(claims, seed, provider), seed=seed, control_number=control_number)
    bht = transaction.header.bht_segment
    bht.transaction_set_creation_date = f"{created:%Y%m%d}"
    bht.transaction_set_creation_time = f"{created:%H%M%S}"
    billing = transaction.loop_2000a[0].loop_2010aa
    billing.nm1_segment.identification_code = provider.npi
    billing.ref_segment[0].reference_identification = provider.tax_id
    return transaction


def _submission(claims: range, seed: int, provider: _Provider) -> SubmissionSpec:
    patients = [
        replace(patient, claims=[replace(patient.claims[0], patient_control_number=f"PCN{number:08}")])
        for number, patient in zip(claims, random_patients(len(claims), ValueFactory(seed)), strict=True)
    ]
    return SubmissionSpec(patients=patients, billing_provider_name=provider.name)


def _file(
    system: str, number: int, transactions: list[HealthCareClaimProfessional], created: datetime
) -> GeneratedFile:
    claims = [claim for transaction in transactions for claim in transaction.claims()]
    cents_by_provider: Counter[str] = Counter()
    for claim in claims:
        cents_by_provider[claim.billing_provider_npi or ""] += int(claim.charge * 100)
    content = write_transactions(
        transactions,
        sender_id=system[:_SENDER_ID_CHARS].upper(),
        receiver_id="EVENTFLEET",
        interchange_control_number=str(number),
        created=created,
    )
    return GeneratedFile(
        system=system,
        name=f"{system}-{number:06}.edi",
        content=content.encode(),
        claims=len(claims),
        total_cents=cents_by_provider.total(),
        cents_by_provider=dict(cents_by_provider),
    )
