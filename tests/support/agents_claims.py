"""Canonical claims to test with, made from a real sample file."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.samples import sample_837p

NPI = "1679576722"
TIME = datetime(2026, 1, 5, 13, 30, tzinfo=UTC)


def a_claim(
    npi: str | None = NPI, time: datetime = TIME, charge: Decimal | str = "79.04", **fields: Any
) -> dict[str, Any]:
    """Return a claim as it is written, with these fields changed."""
    sample = sample_837p()[0]
    claim = normalise(sample.content, system="samples", file=sample.name)[0].as_avro()
    provider = {**claim["billing_provider"], "npi": npi}
    changed = {"billing_provider": provider, "event_time": time, "total_charge": Decimal(charge)}
    return {**claim, **changed, **fields}


def as_read(value: Any) -> Any:
    """Return a value as it reads back from Avro: arrays are lists."""
    if isinstance(value, dict):
        return {name: as_read(each) for name, each in value.items()}
    return [as_read(each) for each in value] if isinstance(value, list | tuple) else value
