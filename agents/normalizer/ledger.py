"""Count and sum the claims of 837 files without parsing them, to check the normalizer by.

This shares nothing with the parser: no code, no tolerance, no validation. It splits a well-formed file at
its terminator and adds up CLM02 as it goes, so an error of the parser cannot hide in both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

_ISA_BYTES = 106


@dataclass
class Ledger:
    """Claims and charges, in total and by billing provider.

    Attributes:
        claims: Number of claims.
        total: Sum of charges, US dollars.
        by_provider: Sum of charges by NPI; claims of providers without an NPI are under the empty string.
        claims_by_provider: Number of claims by NPI.
        by_provider_hour: Sum of charges by NPI and hour of transaction creation, ``YYYYMMDDHH`` in UTC.
        claims_by_provider_hour: Number of claims by NPI and hour.
    """

    claims: int = 0
    total: Decimal = Decimal(0)
    by_provider: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    claims_by_provider: Counter[str] = field(default_factory=Counter)
    by_provider_hour: defaultdict[tuple[str, str], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )
    claims_by_provider_hour: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, npi: str, hour: str, charge: Decimal) -> None:
        """Enter one claim."""
        self.claims += 1
        self.total += charge
        self.by_provider[npi] += charge
        self.claims_by_provider[npi] += 1
        self.by_provider_hour[npi, hour] += charge
        self.claims_by_provider_hour[npi, hour] += 1


def count_and_sum(*contents: bytes) -> Ledger:
    """Return the ledger of well-formed files; a file without claims, X12 or not, adds nothing."""
    ledger = Ledger()
    for content in contents:
        _enter(_segments(content), ledger)
    return ledger


def _segments(content: bytes) -> Iterable[list[str]]:
    text = content.decode("latin-1").strip()
    if not text.startswith("ISA") or len(text) < _ISA_BYTES:
        return []
    separator, terminator = text[3], text[_ISA_BYTES - 1]
    return (part.strip().split(separator) for part in text.split(terminator))


def _enter(segments: Iterable[list[str]], ledger: Ledger) -> None:
    npi = hour = ""
    for segment in segments:
        if segment[0] == "BHT":
            hour = segment[4] + segment[5][:2]
        elif segment[0] == "HL" and segment[3] == "20":
            npi = ""
        elif segment[:2] == ["NM1", "85"] and not npi:
            npi = segment[9] if segment[8:9] == ["XX"] else ""
        elif segment[0] == "CLM":
            ledger.add(npi, hour, Decimal(segment[2]))
