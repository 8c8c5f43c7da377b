"""Map who takes part in a claim, and check the hierarchy that they stand in.

Source: ASC X12N 005010X222A1, loops 2000A to 2010CA and 2310B.
"""

from __future__ import annotations

from agents.normalizer.domain import elements
from agents.normalizer.domain.claim import BillingProvider, Patient, Payer
from agents.normalizer.domain.loops import Loop
from agents.normalizer.domain.tokenizer import Segment

_GENDERS = frozenset({"F", "M", "U"})
_EMPLOYER_ID = "EI"
_NPI_QUALIFIER = "XX"
_PERSON = "1"
_NO_CHILDREN = "0"
_HIERARCHY = frozenset({"2000A", "2000B", "2000C"})


def check_hierarchy(root: Loop) -> None:
    """Check that the HL segments are numbered 1, 2, 3, … and name their parents.

    Raises:
        X12Error: ``bad_value``.
    """
    number = 0
    levels = [loop for loop in reversed(root.loops) if loop.name in _HIERARCHY]
    while levels:
        loop = levels.pop()
        number += 1
        hl = loop.segments[0]
        if elements.count(hl, 1) != number:
            raise hl.error("bad_value", f"HL01 is not {number}, the next in the hierarchy")
        parent = loop.parent.segments[0].get(1) if loop.parent is not root and loop.parent else ""
        if hl.get(2) != parent:
            raise hl.error("bad_value", "HL02 is not the level above it")
        children = [child for child in reversed(loop.loops) if child.name in _HIERARCHY]
        if children and hl.get(4) == _NO_CHILDREN:
            raise hl.error("bad_value", "HL04 says that no level is below it, but one is")
        levels += children


def billing_provider(loop: Loop) -> BillingProvider:
    """Return the billing provider of a 2010AA loop."""
    tax_id = loop.qualified("REF", _EMPLOYER_ID)
    nm1 = loop.segments[0]
    return BillingProvider(
        npi=provider_npi(nm1),
        tax_id=elements.required(tax_id, 2) if tax_id else None,
        name=_name(nm1),
    )


def payer(loop: Loop) -> Payer:
    """Return the payer of a 2010BB loop."""
    nm1 = loop.segments[0]
    return Payer(id=nm1.get(9).strip() or None, name=_name(nm1))


def patient(loop: Loop, relationship: str | None) -> Patient:
    """Return the patient of a 2010BA or 2010CA loop."""
    dmg = loop.required("DMG")
    if dmg.get(1) != "D8":
        raise dmg.error("bad_value", "DMG01 is not D8")
    return Patient(
        relationship=relationship,
        birth_date=elements.day(dmg, 2),
        gender=elements.one_of(dmg, 3, _GENDERS),
    )


def provider_npi(nm1: Segment) -> str | None:
    """Return the NPI of a provider's NM1, or None where it is identified in another way."""
    return elements.npi(nm1, 9) if nm1.get(8) == _NPI_QUALIFIER else None


def _name(nm1: Segment) -> str:
    last, first = elements.required(nm1, 3), nm1.get(4).strip()
    return f"{last}, {first}" if first and nm1.get(2) == _PERSON else last
