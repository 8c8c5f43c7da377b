"""Map X12 837 professional claims (5010, X222) to canonical claims.

Source: ASC X12N 005010X222A1, Health Care Claim: Professional (837).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

import msgspec

from agents.normalizer.domain import elements, parties
from agents.normalizer.domain.claim import BillingProvider, Claim, Diagnosis, Patient, Payer, Source
from agents.normalizer.domain.envelope import TransactionSet, transaction_sets
from agents.normalizer.domain.loops import Loop, arrange
from agents.normalizer.domain.service_line import service_line
from agents.normalizer.domain.tokenizer import Segment, tokenize

MAPPING = "x12-837p"
MAPPING_VERSION = 1

_VERSIONS = frozenset({"005010X222", "005010X222A1", "005010X222A2"})
_PRINCIPAL_QUALIFIERS = frozenset({"ABK", "BK"})
_DIAGNOSIS_QUALIFIERS = _PRINCIPAL_QUALIFIERS | {"ABF", "BF"}
_USAGES = frozenset({"P", "T"})
_TRANSACTION_TYPES = frozenset({"31", "CH", "RP"})
_CLAIM_ID_BYTES = 16


class _Context(msgspec.Struct, frozen=True):
    """What all claims of one transaction share."""

    system: str
    file: str
    transaction: TransactionSet
    component: str
    event_time: datetime
    transaction_type: str
    usage: str
    digest: hashlib.blake2b


class _Parties(msgspec.Struct, frozen=True):
    """What the loops above a claim say of it."""

    billing_provider: BillingProvider
    payer: Payer
    member_id: str | None
    patient: Patient


def normalise(raw: bytes, *, system: str, file: str) -> tuple[Claim, ...]:
    """Return the claims of a file, in order: all of them, or an error.

    Args:
        raw: The file's bytes.
        system: Name of the source system.
        file: Name of the file.

    Raises:
        X12Error: The file is damaged, incomplete, or not an 837 professional claim; it yields no claim.
    """
    transactions = transaction_sets(list(tokenize(raw)))
    for transaction in transactions:
        _check_supported(transaction)
    return tuple(claim for transaction in transactions for claim in _claims(transaction, system, file))


def _check_supported(transaction: TransactionSet) -> None:
    st, gs = transaction.st, transaction.gs
    version = gs.get(8)
    if st.get(1) != "837":
        raise st.error("unsupported_transaction_set", "ST01 is not 837; only 837P claims are read")
    if not version.startswith("005010"):
        raise gs.error("unsupported_version", "GS08 is not a 5010 version; ask the sender for 005010X222A1")
    if version not in _VERSIONS:
        raise gs.error("unsupported_transaction_set", "GS08 is not 005010X222; only 837P claims are read")
    if gs.get(1) != "HC":
        raise gs.error("bad_value", "GS01 is not HC, the group of health care claims")
    if st.get(3) != version:
        raise st.error("bad_value", f"ST03 differs from GS08 at segment {gs.position}")


def _claims(transaction: TransactionSet, system: str, file: str) -> list[Claim]:
    root = arrange(transaction.st, transaction.body)
    bht = root.required("BHT")
    context = _Context(
        system=system,
        file=file,
        transaction=transaction,
        component=transaction.isa.get(16),
        event_time=elements.moment(bht, 4, 5),
        transaction_type=elements.one_of(bht, 6, _TRANSACTION_TYPES),
        usage=elements.one_of(transaction.isa, 15, _USAGES),
        digest=_digest(transaction, system),
    )
    root.required_loop("1000A", "NM1*41")
    root.required_loop("1000B", "NM1*40")
    root.required_loop("2000A", "HL 20")
    parties.check_hierarchy(root)
    claims = [_claim(loop, above, context) for loop, above in _claim_loops(root)]
    if not claims:
        raise transaction.st.error("missing_segment", "its CLM is missing; the transaction has no claim")
    return claims


def _claim_loops(root: Loop) -> Iterator[tuple[Loop, _Parties]]:
    """Yield each claim's loop 2300 with what stands above it, in the order of the file."""
    for biller in _named(root, "2000A"):
        provider = parties.billing_provider(biller.required_loop("2010AA", "NM1*85"))
        biller.required_loop("2000B", "HL 22")
        for subscriber in _named(biller, "2000B"):
            relationship = subscriber.required("SBR").get(2) or None
            name = subscriber.required_loop("2010BA", "NM1*IL")
            payer = parties.payer(subscriber.required_loop("2010BB", "NM1*PR"))
            member_id = name.segments[0].get(9).strip() or None
            own = list(_named(subscriber, "2300"))
            if own:
                above = _Parties(provider, payer, member_id, parties.patient(name, relationship))
                yield from ((loop, above) for loop in own)
            for dependent in _named(subscriber, "2000C"):
                relationship = elements.required(dependent.required("PAT"), 1)
                patient = parties.patient(dependent.required_loop("2010CA", "NM1*QC"), relationship)
                above = _Parties(provider, payer, member_id, patient)
                yield from ((loop, above) for loop in _named(dependent, "2300"))


def _named(loop: Loop, name: str) -> Iterator[Loop]:
    return (inner for inner in loop.loops if inner.name == name)


def _claim(loop: Loop, above: _Parties, context: _Context) -> Claim:
    clm = loop.segments[0]
    diagnoses = _diagnoses(loop, context.component)
    loop.required_loop("2400", "LX")
    lines = tuple(
        service_line(line, component=context.component, number=number, diagnoses=len(diagnoses))
        for number, line in enumerate(_named(loop, "2400"), 1)
    )
    total_charge = elements.money(clm, 2)
    if sum(line.charge for line in lines) != total_charge:
        raise clm.error("charge_mismatch", "CLM02 differs from the sum of its service lines' SV102")
    place_of_service, frequency_code = _location(clm, context.component)
    rendering = loop.first("2310B")
    return Claim(
        claim_id=_claim_id(context, clm),
        patient_control_number=elements.required(clm, 1),
        member_id=above.member_id,
        patient=above.patient,
        payer=above.payer,
        billing_provider=above.billing_provider,
        rendering_provider_npi=parties.provider_npi(rendering.segments[0]) if rendering else None,
        transaction_type=context.transaction_type,
        frequency_code=frequency_code,
        place_of_service=place_of_service,
        diagnosis_codes=diagnoses,
        total_charge=total_charge,
        service_from=min(line.service_from for line in lines),
        service_to=max(line.service_to for line in lines),
        event_time=context.event_time,
        service_lines=lines,
        source=_source(context, clm),
    )


def _location(clm: Segment, component: str) -> tuple[str, str]:
    """Return place of service and frequency code of CLM05, whose second part only names the code list."""
    place, _, frequency = (clm.get(5) + 2 * component).split(component)[:3]
    if not place or not frequency:
        raise clm.error("bad_value", "CLM05 lacks the place of service or the frequency code")
    return place, frequency


def _diagnoses(loop: Loop, component: str) -> tuple[Diagnosis, ...]:
    found: tuple[Diagnosis, ...] = ()
    for hi in loop.all("HI"):
        if hi.get(1).partition(component)[0] not in _PRINCIPAL_QUALIFIERS:
            continue
        if found:
            raise hi.error("unexpected_segment", "a second principal diagnosis in one claim")
        found = tuple(
            _diagnosis(hi, position, component)
            for position in range(1, len(hi.elements))
            if hi.elements[position]
        )
    if not found:
        raise loop.segments[0].error("missing_segment", "its HI with the principal diagnosis is missing")
    return found


def _diagnosis(hi: Segment, position: int, component: str) -> Diagnosis:
    qualifier, code = (hi.elements[position] + component).split(component)[:2]
    if qualifier not in _DIAGNOSIS_QUALIFIERS or not code.strip():
        raise hi.error("bad_value", f"HI{position:02} is not a qualifier and a diagnosis code")
    return Diagnosis(position=position, qualifier=qualifier, code=code.strip())


def _source(context: _Context, clm: Segment) -> Source:
    return Source(
        system=context.system,
        file=context.file,
        interchange_control=context.transaction.isa.get(13).strip(),
        transaction_control=context.transaction.st.get(2).strip(),
        usage=context.usage,
        segment_position=clm.position,
        mapping=MAPPING,
        mapping_version=MAPPING_VERSION,
    )


def _digest(transaction: TransactionSet, system: str) -> hashlib.blake2b:
    """Return the hash of what makes a transaction itself, whatever its delimiters, line ends and file name.

    Control numbers alone would not do: senders start them again, and reuse them for corrected files.
    """
    isa, gs = transaction.isa, transaction.gs
    parts = [[system, isa.get(6).strip(), isa.get(13).strip(), gs.get(6).strip()], transaction.st.elements]
    parts += [segment.elements for segment in transaction.body]
    text = "\x1e".join("\x1f".join(part) for part in parts).replace(isa.get(16), "\x1d")
    return hashlib.blake2b(text.encode(), digest_size=_CLAIM_ID_BYTES)


def _claim_id(context: _Context, clm: Segment) -> str:
    digest = context.digest.copy()
    digest.update(f"\x1e{clm.position - context.transaction.st.position}".encode())
    return digest.hexdigest()
