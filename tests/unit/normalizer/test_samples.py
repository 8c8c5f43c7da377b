"""The files that badx12 carries: the sound ones load, the broken ones say why."""

from __future__ import annotations

from decimal import Decimal

import pytest
from x12sdk.io import X12ModelReader
from x12sdk.v5010.x12_837_005010X222A2.transaction_set import HealthCareClaimProfessional

from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.domain.errors import X12Error
from agents.normalizer.ledger import count_and_sum
from agents.normalizer.samples import Sample, malformed, other_transactions, sample_837p

X12SDK_REFUSES = {"X222-oxygen.edi", "X222-wheelchair.edi"}
"""Their PWK02 is AD, which x12sdk's model of the guide does not list."""


def _name(sample: Sample) -> str:
    return sample.name


def test_samples_come_in_order_of_creation() -> None:
    """Event times ascend, so that a replay of the samples is not late by its own order."""
    times = [normalise(s.content, system="s", file=s.name)[0].event_time for s in sample_837p()]
    assert len(times) == 16
    assert times == sorted(times)


@pytest.mark.parametrize("sample", sample_837p(), ids=_name)
def test_a_sample_loads_and_agrees_with_an_independent_scan(sample: Sample) -> None:
    """Count, charges and billing provider are those of a scan that shares no code with the parser."""
    claims = normalise(sample.content, system="s", file=sample.name)
    ledger = count_and_sum(sample.content)
    assert len(claims) == ledger.claims == 1
    assert claims[0].total_charge == ledger.total > 0
    assert {claims[0].billing_provider.npi: claims[0].total_charge} == ledger.by_provider
    assert ledger.claims_by_provider_hour == {
        (claims[0].billing_provider.npi, f"{claims[0].event_time:%Y%m%d%H}"): 1
    }


@pytest.mark.parametrize("sample", [s for s in sample_837p() if s.name not in X12SDK_REFUSES], ids=_name)
def test_a_sample_reads_as_x12sdk_reads_it(sample: Sample) -> None:
    """Another parser finds the same claims: numbers, charges, members, providers and lines."""
    text = sample.content.decode().replace("005010X222A1", "005010X222A2")
    with X12ModelReader(text) as reader:
        theirs = [
            (
                claim.patient_control_number,
                claim.charge,
                claim.member_id,
                claim.billing_provider_npi,
                claim.payer_name,
                [line.sv1_segment.line_item_charge_amount for line in claim.service_lines],
            )
            for model in reader.models()
            if isinstance(model, HealthCareClaimProfessional)
            for claim in model.claims()
        ]
    ours = [
        (
            claim.patient_control_number,
            claim.total_charge,
            claim.member_id,
            claim.billing_provider.npi,
            claim.payer.name,
            [line.charge for line in claim.service_lines],
        )
        for claim in normalise(sample.content, system="s", file=sample.name)
    ]
    assert ours == theirs


def test_no_two_samples_share_a_claim_id() -> None:
    """Samples reuse control and claim numbers, but are different claims."""
    ids = {normalise(s.content, system="s", file=s.name)[0].claim_id for s in sample_837p()}
    assert len(ids) == 16


def test_each_broken_sample_has_a_reason_of_its_own() -> None:
    """Reason, segment and position of the four files that are broken on purpose."""
    found = {}
    for sample in malformed():
        with pytest.raises(X12Error) as caught:
            normalise(sample.content, system="s", file=sample.name)
        found[sample.name] = (caught.value.reason, caught.value.segment, caught.value.position)
    assert found == {
        "bad_file.edi": ("not_x12", "ISA", 1),
        "error_validation.edi": ("control_number_mismatch", "SE", 29),
        "segment_terminator.edi": ("missing_segment", "ISA", 1),
        "unknown_segment_error.edi": ("unknown_segment", "HL", 3),
    }


@pytest.mark.parametrize("sample", other_transactions(), ids=_name)
def test_another_transaction_set_is_refused_as_such(sample: Sample) -> None:
    """Remittances and eligibility files are sound, only not claims."""
    with pytest.raises(X12Error) as caught:
        normalise(sample.content, system="s", file=sample.name)
    assert (caught.value.reason, caught.value.segment) == ("unsupported_transaction_set", "ST")


def test_the_scan_finds_nothing_where_there_are_no_claims() -> None:
    """Files without claims add nothing to the ledger."""
    ledger = count_and_sum(*(s.content for s in other_transactions() + malformed()), b"", b"\x00\xff" * 200)
    assert (ledger.claims, ledger.total) == (0, Decimal(0))
