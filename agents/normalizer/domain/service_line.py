"""Map one service line, loop 2400 with its drug in loop 2410.

Source: ASC X12N 005010X222A1, loops 2400 and 2410.
"""

from __future__ import annotations

from agents.normalizer.domain import elements
from agents.normalizer.domain.claim import ServiceLine
from agents.normalizer.domain.loops import Loop
from agents.normalizer.domain.tokenizer import Segment

_PROCEDURE_QUALIFIERS = frozenset({"ER", "HC", "HP", "IV", "WK"})
_UNIT_CODES = frozenset({"MJ", "UN"})
_SERVICE_DATE = "472"
_NDC = "N4"
_MODIFIERS = slice(2, 6)


def service_line(loop: Loop, *, component: str, number: int, diagnoses: int) -> ServiceLine:
    """Return the line of one 2400 loop.

    Args:
        loop: The loop.
        component: Component separator of the interchange.
        number: The line number that follows the line before it.
        diagnoses: How many diagnosis codes the claim has.
    """
    lx = loop.segments[0]
    if elements.count(lx, 1) != number:
        raise lx.error("bad_value", f"LX01 is not {number}, the next line number")
    sv1 = loop.required("SV1")
    qualifier, code, modifiers = _procedure(sv1, component)
    dtp = loop.qualified("DTP", _SERVICE_DATE)
    if dtp is None:
        raise lx.error("missing_segment", f"its DTP*{_SERVICE_DATE} (service date) is missing")
    service_from, service_to = elements.period(dtp, 2)
    return ServiceLine(
        line_number=number,
        qualifier=qualifier,
        procedure_code=code,
        modifiers=modifiers,
        charge=elements.money(sv1, 2),
        units=elements.quantity(sv1, 4),
        unit_code=elements.one_of(sv1, 3, _UNIT_CODES),
        service_from=service_from,
        service_to=service_to,
        diagnosis_pointers=_pointers(sv1, component, diagnoses),
        ndc=_ndc(loop),
    )


def _procedure(sv1: Segment, component: str) -> tuple[str, str, tuple[str, ...]]:
    parts = sv1.get(1).split(component)
    if parts[0] not in _PROCEDURE_QUALIFIERS or len(parts) == 1 or not parts[1].strip():
        raise sv1.error("bad_value", "SV101 is not a qualifier and a procedure code")
    return parts[0], parts[1].strip(), tuple(filter(None, parts[_MODIFIERS]))


def _pointers(sv1: Segment, component: str, diagnoses: int) -> tuple[int, ...]:
    pointers = sv1.get(7).split(component)
    allowed = {str(position): position for position in range(1, diagnoses + 1)}
    if not all(pointer in allowed for pointer in pointers):
        raise sv1.error("bad_value", f"SV107 does not point at the claim's {diagnoses} diagnosis codes")
    return tuple(allowed[pointer] for pointer in pointers)


def _ndc(loop: Loop) -> str | None:
    drug = loop.first("2410")
    if drug is None or drug.segments[0].get(2) != _NDC:
        return None
    return elements.required(drug.segments[0], 3)
