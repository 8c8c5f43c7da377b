"""The canonical claim: one professional claim with its service lines, whatever format it came in.

The Avro schema is ``schemas/avro/canonical.claim.avsc``; a test keeps the two equal.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec


class Patient(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who was treated, without name or address: no consumer of claims needs them.

    Attributes:
        relationship: Patient's relationship to the subscriber (X12 code list 1069); ``18`` is self.
        birth_date: Day of birth.
        gender: ``F``, ``M`` or ``U``.
    """

    relationship: str | None
    birth_date: date
    gender: str


class Payer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The payer that the claim is sent to."""

    id: str | None
    name: str


class BillingProvider(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The provider that bills; atypical providers have no NPI, and social security numbers are left out."""

    npi: str | None
    tax_id: str | None
    name: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One diagnosis code.

    Attributes:
        position: 1-based number that the service lines point at.
        qualifier: ``ABK`` or ``ABF`` for ICD-10-CM, ``BK`` or ``BF`` for ICD-9-CM; K is the principal one.
        code: The code without its decimal point, as X12 carries it.
    """

    position: int
    qualifier: str
    code: str


class ServiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One billed service.

    Attributes:
        line_number: 1-based number in the claim.
        qualifier: Code list of `procedure_code`; ``HC`` is HCPCS and CPT.
        procedure_code: What was done.
        modifiers: Up to four procedure modifiers, in order.
        charge: US dollars.
        units: How many `unit_code`.
        unit_code: ``UN`` units or ``MJ`` minutes.
        service_from: First day of service.
        service_to: Last day of service.
        diagnosis_pointers: Positions of the diagnoses that the service was for, most relevant first.
        ndc: National drug code, if a drug was given.
    """

    line_number: int
    qualifier: str
    procedure_code: str
    modifiers: tuple[str, ...]
    charge: Decimal
    units: Decimal
    unit_code: str
    service_from: date
    service_to: date
    diagnosis_pointers: tuple[int, ...]
    ndc: str | None


class Source(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the claim was read from, and by what.

    Attributes:
        system: Name of the source system.
        file: Name of the file, as the source system gave it.
        interchange_control: ISA13.
        transaction_control: ST02.
        usage: ISA15: ``P`` production or ``T`` test.
        segment_position: 1-based index of the CLM segment in the file.
        mapping: Name of the mapping.
        mapping_version: Version of the mapping.
    """

    system: str
    file: str
    interchange_control: str
    transaction_control: str
    usage: str
    segment_position: int
    mapping: str
    mapping_version: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One professional claim.

    Attributes:
        claim_id: Equal for equal content from one source system, however often and in whatever file it is
            read; 32 hexadecimal digits.
        patient_control_number: CLM01, the provider's own number; not unique.
        member_id: Subscriber's number with the payer.
        transaction_type: BHT06: ``CH`` chargeable, ``RP`` encounter report, ``31`` subrogation demand.
        frequency_code: CLM05-3: ``1`` original, ``7`` replacement, ``8`` void.
        place_of_service: CLM05-1, code list of CMS.
        total_charge: US dollars, the sum of the service lines' charges.
        service_from: First day of service of any line.
        service_to: Last day of service of any line.
        event_time: Creation of the transaction, UTC.
    """

    claim_id: str
    patient_control_number: str
    member_id: str | None
    patient: Patient
    payer: Payer
    billing_provider: BillingProvider
    rendering_provider_npi: str | None
    transaction_type: str
    frequency_code: str
    place_of_service: str
    diagnosis_codes: tuple[Diagnosis, ...]
    total_charge: Decimal
    service_from: date
    service_to: date
    event_time: datetime
    service_lines: tuple[ServiceLine, ...]
    source: Source

    def as_avro(self) -> dict[str, Any]:
        """Return the claim as fastavro writes it, with Decimal, date and datetime objects in place."""
        return cast("dict[str, Any]", msgspec.to_builtins(self, builtin_types=(Decimal, date, datetime)))
