"""Every metric of the API, in one place (Prometheus)."""

from __future__ import annotations

from prometheus_client import Counter

DENIED = Counter("fleet_api_denied", "Requests refused: who asks is unknown, or may not.", ("reason",))
