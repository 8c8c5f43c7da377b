"""What of an 837P becomes a claim, and which claims are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from agents.normalizer.domain.claim import (
    BillingProvider,
    Claim,
    Diagnosis,
    Patient,
    Payer,
    ServiceLine,
    Source,
)
from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.domain.errors import X12Error
from tests.unit.normalizer.documents import BODY, document, inserted, replaced, without

DEPENDENT = (
    "HL*3*2*23*0",
    "PAT*19",
    "NM1*QC*1*ROE*KIM",
    "DMG*D8*20150501*M",
    "CLM*A-2*20***11:B:7*Y*A*Y*Y",
    "HI*BK:4779",
    "LX*1",
    "SV1*HC:99213*20*UN*1***1",
    "DTP*472*D8*20260101",
)


def _one(raw: bytes) -> Claim:
    (claim,) = normalise(raw, system="s", file="f")
    return claim


def test_every_field_of_a_claim_is_read() -> None:
    """The whole canonical claim of a plain document, field by field."""
    claim = _one(document(*BODY))
    assert claim == Claim(
        claim_id=claim.claim_id,
        patient_control_number="A-1",
        member_id="M-1",
        patient=Patient(relationship="18", birth_date=date(1980, 2, 29), gender="F"),
        payer=Payer(id="P-1", name="GOOD HEALTH"),
        billing_provider=BillingProvider(npi="1234567893", tax_id="123456789", name="DOE, ANN"),
        rendering_provider_npi="1999996666",
        transaction_type="CH",
        frequency_code="1",
        place_of_service="11",
        diagnosis_codes=(
            Diagnosis(position=1, qualifier="ABK", code="E1165"),
            Diagnosis(position=2, qualifier="ABF", code="I10"),
        ),
        total_charge=Decimal("100.50"),
        service_from=date(2026, 1, 2),
        service_to=date(2026, 1, 4),
        event_time=datetime(2026, 1, 5, 10, 23, tzinfo=UTC),
        service_lines=(
            ServiceLine(
                line_number=1,
                qualifier="HC",
                procedure_code="99213",
                modifiers=("25",),
                charge=Decimal("60.25"),
                units=Decimal(1),
                unit_code="UN",
                service_from=date(2026, 1, 2),
                service_to=date(2026, 1, 2),
                diagnosis_pointers=(1, 2),
                ndc=None,
            ),
            ServiceLine(
                line_number=2,
                qualifier="HC",
                procedure_code="J1550",
                modifiers=(),
                charge=Decimal("40.25"),
                units=Decimal("1.5"),
                unit_code="UN",
                service_from=date(2026, 1, 3),
                service_to=date(2026, 1, 4),
                diagnosis_pointers=(2,),
                ndc="00026063512",
            ),
        ),
        source=Source(
            system="s",
            file="f",
            interchange_control="000000007",
            transaction_control="0001",
            usage="P",
            segment_position=20,
            mapping="x12-837p",
            mapping_version=1,
        ),
    )


def test_claims_of_subscriber_and_dependent_keep_their_patients() -> None:
    """One subscriber may have claims of its own and of a dependent; each names its patient."""
    body = tuple(s.replace("HL*2*1*22*0", "HL*2*1*22*1") for s in BODY)
    own, dependent = normalise(document(*body, *DEPENDENT), system="s", file="f")
    assert own.patient == Patient(relationship="18", birth_date=date(1980, 2, 29), gender="F")
    assert dependent.patient == Patient(relationship="19", birth_date=date(2015, 5, 1), gender="M")
    assert (dependent.member_id, dependent.frequency_code) == ("M-1", "7")
    assert dependent.claim_id != own.claim_id


def test_another_payer_of_the_claim_does_not_replace_its_payer() -> None:
    """Names in loop 2330 belong to other insurance; payer and member stay those of loop 2010."""
    other = ("SBR*S*01*******CI", "OI***Y*P**Y", "NM1*IL*1*ZOE*AL****MI*OTHER", "NM1*PR*2*OTHER*****PI*O-1")
    claim = _one(inserted("LX*1", *other, *other))
    assert (claim.payer.id, claim.member_id) == ("P-1", "M-1")


@pytest.mark.parametrize(
    ("bht05", "event_time"),
    [
        ("1023", datetime(2026, 1, 5, 10, 23, tzinfo=UTC)),
        ("102359", datetime(2026, 1, 5, 10, 23, 59, tzinfo=UTC)),
        ("1023595", datetime(2026, 1, 5, 10, 23, 59, 500_000, tzinfo=UTC)),
        ("10235907", datetime(2026, 1, 5, 10, 23, 59, 70_000, tzinfo=UTC)),
    ],
)
def test_event_time_is_the_creation_of_the_transaction(bht05: str, event_time: datetime) -> None:
    """All four lengths of an X12 time are read, as UTC."""
    raw = replaced("BHT*0019*00*1*20260105*1023*CH", f"BHT*0019*00*1*20260105*{bht05}*CH")
    assert _one(raw).event_time == event_time


def test_a_provider_without_npi_is_read_without_one() -> None:
    """Atypical providers have no NPI, and their claims are claims."""
    claim = _one(replaced("NM1*85*1*DOE*ANN****XX*1234567893", "NM1*85*2*TRANSPORT CO"))
    assert claim.billing_provider == BillingProvider(npi=None, tax_id="123456789", name="TRANSPORT CO")


def test_claim_id_follows_the_content_not_the_file_name() -> None:
    """The same content has the same id under another name, and another one from another system."""
    raw = document(*BODY)
    first, renamed, elsewhere = (
        normalise(raw, system=system, file=file)[0].claim_id
        for system, file in (("s", "f"), ("s", "g"), ("t", "f"))
    )
    assert first == renamed
    assert first != elsewhere


def test_a_corrected_file_under_the_same_control_numbers_gives_another_claim_id() -> None:
    """Senders reuse control numbers for corrected files; a correction must not pass for a duplicate."""
    corrected = replaced("DTP*472*D8*20260102", "DTP*472*D8*20260103")
    assert _one(corrected).claim_id != _one(document(*BODY)).claim_id


def test_equal_claims_in_one_transaction_have_ids_of_their_own() -> None:
    """Two claims that differ in nothing but their place are two claims."""
    first, second = normalise(document(*BODY, *BODY[16:]), system="s", file="f")
    assert first.claim_id != second.claim_id
    assert first.service_lines == second.service_lines


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "CLM*A-1*100.51***11:B:1*Y*A*Y*Y", "charge_mismatch"),
        ("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "CLM*A-1*1E2***11:B:1*Y*A*Y*Y", "bad_value"),
        ("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "CLM*A-1*NaN***11:B:1*Y*A*Y*Y", "bad_value"),
        ("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "CLM*A-1*-100.5***11:B:1*Y*A*Y*Y", "bad_value"),
        ("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "CLM*A-1*100.500***11:B:1*Y*A*Y*Y", "bad_value"),
        ("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "CLM**100.5***11:B:1*Y*A*Y*Y", "bad_value"),
        ("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "CLM*A-1*100.5***11*Y*A*Y*Y", "bad_value"),
        ("SV1*HC:99213:25*60.25*UN*1***1:2", "SV1*HC*60.25*UN*1***1:2", "bad_value"),
        ("SV1*HC:99213:25*60.25*UN*1***1:2", "SV1*HC:99213*60.25*UN*1***1:3", "bad_value"),
        ("SV1*HC:99213:25*60.25*UN*1***1:2", "SV1*HC:99213*60.25*UN*1", "bad_value"),
        ("SV1*HC:99213:25*60.25*UN*1***1:2", "SV1*HC:99213*60.25*XX*1***1", "bad_value"),
        ("SV1*HC:99213:25*60.25*UN*1***1:2", "SV2*HC:99213*60.25*UN*1***1", "unknown_segment"),
        ("DTP*472*D8*20260102", "DTP*472*D8*20260230", "bad_value"),
        ("DTP*472*D8*20260102", "DTP*472*D6*260102", "bad_value"),
        ("DTP*472*D8*20260102", "DTP*472*RD8*20260103-20260102", "bad_value"),
        ("DTP*472*D8*20260102", "DTP*431*D8*20260102", "missing_segment"),
        ("LX*2", "LX*3", "bad_value"),
        ("HL*2*1*22*0", "HL*3*1*22*0", "bad_value"),
        ("HL*2*1*22*0", "HL*2*9*22*0", "bad_value"),
        ("HL*1**20*1", "HL*1**20*0", "bad_value"),
        ("DMG*D8*19800229*F", "DMG*D8*19800230*F", "bad_value"),
        ("DMG*D8*19800229*F", "DMG*D8*19800229*X", "bad_value"),
        ("HI*ABK:E1165*ABF:I10", "HI*ABK:E1165*ABF", "bad_value"),
        ("HI*ABK:E1165*ABF:I10", "HI*BG:01", "missing_segment"),
        ("NM1*85*1*DOE*ANN****XX*1234567893", "NM1*85*1*DOE*ANN****XX*12345", "bad_value"),
        ("BHT*0019*00*1*20260105*1023*CH", "BHT*0019*00*1*20260105*2460*CH", "bad_value"),
        ("BHT*0019*00*1*20260105*1023*CH", "BHT*0019*00*1*20260105*1023*ZZ", "bad_value"),
    ],
)
def test_a_bad_value_is_refused_at_its_segment(old: str, new: str, reason: str) -> None:
    """A value that the standard does not allow refuses the file and is not shown in the message."""
    with pytest.raises(X12Error) as caught:
        normalise(replaced(old, new), system="s", file="f")
    assert caught.value.reason == reason
    values = set(new.replace(":", "*").split("*")[1:]) - {""}
    assert not {value for value in values if len(value) > 3 and value in str(caught.value)}


@pytest.mark.parametrize(
    ("segments", "missing"),
    [
        (["BHT*0019*00*1*20260105*1023*CH"], "ST at segment 3: its BHT"),
        (
            ["NM1*41*2*SENDER*****46*S1", "PER*IC*DESK*TE*3055552222"],
            "ST at segment 3: its NM1*41 (loop 1000A)",
        ),
        (["NM1*40*2*RECEIVER*****46*R1"], "ST at segment 3: its NM1*40 (loop 1000B)"),
        (list(BODY[5:9]), "HL at segment 8: its NM1*85 (loop 2010AA)"),
        (list(BODY[9:]), "HL at segment 8: its HL 22 (loop 2000B)"),
        (["SBR*P*18*******CI"], "HL at segment 13: its SBR"),
        (list(BODY[11:15]), "HL at segment 13: its NM1*IL (loop 2010BA)"),
        (["DMG*D8*19800229*F"], "NM1 at segment 15: its DMG"),
        (["NM1*PR*2*GOOD HEALTH*****PI*P-1"], "HL at segment 13: its NM1*PR (loop 2010BB)"),
        (list(BODY[16:]), "ST at segment 3: its CLM"),
        (["HI*ABK:E1165*ABF:I10"], "CLM at segment 20: its HI with the principal diagnosis"),
        (list(BODY[19:]), "CLM at segment 20: its LX (loop 2400)"),
        (["SV1*HC:99213:25*60.25*UN*1***1:2"], "LX at segment 23: its SV1"),
        (["DTP*472*D8*20260102"], "LX at segment 23: its DTP*472 (service date)"),
    ],
)
def test_without_a_required_segment_the_file_is_refused(segments: list[str], missing: str) -> None:
    """The error names what is missing, and the segment that it belongs to."""
    with pytest.raises(X12Error) as caught:
        normalise(without(*segments), system="s", file="f")
    assert caught.value.reason == "missing_segment"
    assert str(caught.value).startswith(f"{missing} is missing")


@pytest.mark.parametrize(
    ("before", "segment"),
    [
        pytest.param("LX*1", "DTP*431*D8*20260101", id="a claim's date after its providers"),
        pytest.param("LX*2", "SBR*S*01*******CI", id="other insurance after a line"),
        pytest.param("SBR*P*18*******CI", "LX*1", id="a line outside a claim"),
        pytest.param("SBR*P*18*******CI", "CLM*A*1***11:B:1", id="a claim before its subscriber"),
        pytest.param("LX*1", "NM1*82*1*NOE*AL****XX*1999996666", id="a second rendering provider"),
        pytest.param("HI*ABK:E1165*ABF:I10", "HI*ABK:E1165", id="a second principal diagnosis"),
        pytest.param("DTP*472*D8*20260102", "SV1*HC:1*1*UN*1***1", id="a second service"),
        pytest.param("DTP*472*D8*20260102", "DTP*472*D8*20260101", id="a second service date"),
        pytest.param("LX*1", "NM1*XX*1*NOE", id="a name of no known role"),
        pytest.param("CLM*A-1*100.5***11:B:1*Y*A*Y*Y", "NM1*PR*2*MORE*****PI*P-2", id="a second payer"),
    ],
)
def test_a_segment_out_of_place_is_refused(before: str, segment: str) -> None:
    """What the guide does not allow at a place is not read into a neighbouring loop."""
    with pytest.raises(X12Error) as caught:
        normalise(inserted(before, segment), system="s", file="f")
    assert caught.value.reason == "unexpected_segment"
