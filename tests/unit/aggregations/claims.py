"""Definitions over claims, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CLAIM: dict[str, Any] = json.loads(Path("schemas/avro/canonical.claim.avsc").read_text())
SCHEMAS = {"canonical.claim": CLAIM}


def a_document(**fields: Any) -> dict[str, Any]:
    """Return a definition as a person writes it."""
    return {
        "name": "claims-by-payer",
        "version": 1,
        "owner": "finance",
        "sources": ["canonical.claim"],
        "group_by": {"payer": "event.payer.id"},
        "functions": [{"as": "total", "function": "sum", "of": "event.total_charge"}],
        **fields,
    }
