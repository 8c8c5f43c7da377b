"""Every metric of the gateway, in one place (Prometheus)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("fleet_gateway_requests", "Requests answered.", ("route", "status"))
REQUEST_SECONDS = Histogram("fleet_gateway_request_seconds", "Seconds from request to answer.", ("route",))
PART_UP = Gauge(
    "fleet_gateway_part_up", "Whether the part was ready when last asked (1) or not (0).", ("part",)
)
