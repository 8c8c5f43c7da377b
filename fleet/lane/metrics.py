"""Every metric of the lane, in one place (Prometheus)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LABELS = ("agent", "partition")

RECORDS = Counter("fleet_lane_records", "Source records in committed transactions.", LABELS)
OUTPUTS = Counter("fleet_lane_outputs", "Records emitted in committed transactions.", LABELS)
DEAD_LETTERS = Counter("fleet_lane_dead_letters", "Dead letters committed.", ("agent", "reason"))
TRANSACTIONS = Counter("fleet_lane_transactions", "Committed transactions.", LABELS)
COMMIT_SECONDS = Histogram(
    "fleet_lane_commit_seconds",
    "Seconds from begin to confirmed commit of a transaction.",
    ("agent",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
ACQUIRE_SECONDS = Histogram(
    "fleet_lane_acquire_seconds", "Seconds from the start of an acquire to running.", ("agent",)
)
LOST = Counter("fleet_lane_lost", "Holds on a partition that ended in trouble.", ("agent", "cause"))
HALTED = Gauge("fleet_lane_halted", "1 while a task is halted, by cause.", (*LABELS, "cause"))
PAUSES = Counter("fleet_lane_pauses", "Waits for what a chunk needs and is out of reach.", LABELS)
LAG = Gauge("fleet_lane_lag_records", "Offsets between the task's position and the last stable one.", LABELS)
LOADED = Counter("fleet_lane_loaded_records", "Changelog records read into a table's store.", ("changelog",))
REBUILT = Counter(
    "fleet_lane_rebuilt_stores", "Stores emptied, to be read anew from the changelog.", ("cause",)
)
STATE_ROWS = Gauge("fleet_lane_state_rows", "Rows of a table partition.", ("table", "partition"))
STANDBY_RECORDS = Counter(
    "fleet_lane_standby_records", "Changelog records applied to a standby.", ("table", "partition")
)
STANDBY_LAG = Gauge(
    "fleet_lane_standby_lag_records", "Changelog offsets that a standby has not read.", ("table", "partition")
)
