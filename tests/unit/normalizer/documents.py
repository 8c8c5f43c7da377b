"""A small valid 837P and the ways in which the tests damage it."""

from __future__ import annotations

_BODY = """
BHT*0019*00*1*20260105*1023*CH
NM1*41*2*SENDER*****46*S1
PER*IC*DESK*TE*3055552222
NM1*40*2*RECEIVER*****46*R1
HL*1**20*1
NM1*85*1*DOE*ANN****XX*1234567893
N3*1 MAIN ST
N4*MIAMI*FL*33111
REF*EI*123456789
HL*2*1*22*0
SBR*P*18*******CI
NM1*IL*1*ROE*PAT****MI*M-1
N3*2 MAIN ST
N4*TAMPA*FL*33602
DMG*D8*19800229*F
NM1*PR*2*GOOD HEALTH*****PI*P-1
CLM*A-1*100.5***11:B:1*Y*A*Y*Y
HI*ABK:E1165*ABF:I10
NM1*82*1*POE*LEE****XX*1999996666
LX*1
SV1*HC:99213:25*60.25*UN*1***1:2
DTP*472*D8*20260102
LX*2
SV1*HC:J1550*40.25*UN*1.5***2
DTP*472*RD8*20260103-20260104
LIN**N4*00026063512
"""
ISA = (
    "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *"
    "260105*1705*^*00501*000000007*0*P*:"
)
BODY = tuple(_BODY.strip().splitlines())


def document(*body: str, isa: str = ISA, terminator: str = "~\n") -> bytes:
    """Return an interchange around the body, with right counts."""
    segments = [isa, "GS*HC*S*R*20260105*1705*3*X*005010X222A1", "ST*837*0001*005010X222A1", *body]
    segments += [f"SE*{len(body) + 2}*0001", "GE*1*3", "IEA*1*000000007"]
    return "".join(f"{segment}{terminator}" for segment in segments).encode()


def replaced(old: str, new: str) -> bytes:
    """Return the valid document with the one body segment `old` replaced; counts stay right."""
    assert BODY.count(old) == 1
    return document(*(new if segment == old else segment for segment in BODY))


def without(*old: str) -> bytes:
    """Return the valid document without some of its body segments; counts stay right."""
    assert set(old) <= set(BODY)
    return document(*(segment for segment in BODY if segment not in old))


def inserted(before: str, *new: str) -> bytes:
    """Return the valid document with segments put in before the one body segment `before`."""
    index = BODY.index(before)
    return document(*BODY[:index], *new, *BODY[index:])


def edited(old: str, new: str) -> bytes:
    """Return the valid document with one place of its text changed, counts left as they are."""
    text = document(*BODY).decode()
    assert text.count(old) == 1
    return text.replace(old, new).encode()
