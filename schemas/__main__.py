"""``python -m schemas``: the same as ``eventfleet topics``."""

from __future__ import annotations

from schemas.cli import app

app(prog_name="python -m schemas")
