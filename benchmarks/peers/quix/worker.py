"""The worker of quix-streams: every case of ``CASES.md``; runs in an environment of its own.

Its only argument is the path of the job. It imports nothing of the project but the benchmarks'
plain modules, since `.venv-bench` has none of the project's dependencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.models.serializers import Serializer

from benchmarks.peers.quix import aggregate
from benchmarks.workers.aggregation import Window
from benchmarks.workers.job import AGGREGATE, ROUTES, RULE_HEADER, TABLE, WINDOWS, Job, take
from benchmarks.workers.plain import router

COMMIT_INTERVAL_S = 0.25  # Progress, and latency exactly once, are seen by it; 5 s is the default.
ROW = "row"

Headers = Sequence[tuple[str, bytes]]


class Passing(Serializer):  # type: ignore[misc] # the library has no types here
    """Writes the value of an output (topic, rule, value) as it is."""

    def __call__(self, value: Any, ctx: Any) -> bytes:  # noqa: ARG002 - the name is the library's
        """Return the bytes that came in."""
        passed: bytes = value[2]
        return passed


def new_app(job: Job) -> Any:
    """Return the application of `job`, with its one dataframe."""
    app = Application(
        broker_address=job.bootstrap_servers,
        consumer_group=job.name,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_INTERVAL_S,
        processing_guarantee=job.guarantee.replace("_", "-"),
        state_dir=job.data_dir,
        loglevel="WARNING",
        broker_availability_timeout=0,
        consumer_extra_config={"max.partition.fetch.bytes": 4 << 20, "check.crcs": False},
        producer_extra_config={"linger.ms": 5, "batch.size": 512 << 10, "batch.num.messages": 50_000},
    )
    if job.case in ROUTES:
        _route(app, job)
    elif job.case == AGGREGATE:
        aggregate.declare(app, job)
    elif job.case in WINDOWS:
        _windowed_sum(app, job, job.windows)
    else:
        _keyed_sum(app, job)
    return app


def _route(app: Any, job: Job) -> None:
    """Send each event to the topics of the rules that match, with the rule as one more header."""
    outputs = router(job)
    names = {rule.topic for rule in job.rules}
    topics = {name: app.topic(name, value_serializer=Passing()) for name in names}

    def routed(value: bytes, _key: Any, _time_ms: int, headers: Headers) -> list[tuple[Any, bytes, bytes]]:
        return [(topics[topic], rule, value) for topic, rule in outputs(value, headers)]

    def with_rule(output: Any, _key: Any, _time_ms: int, headers: Headers) -> Headers:
        return [*headers, (RULE_HEADER, output[1])]

    frame = app.dataframe(app.topic(job.source, value_deserializer="bytes"))
    frame = frame.apply(routed, expand=True, metadata=True).set_headers(with_rule)
    frame.to_topic(lambda output, _key, _time_ms, _headers: output[0])


def _keyed_sum(app: Any, job: Job) -> None:
    """Count claims and sum their charges per member, which is the key."""

    def add(claim: Any, state: Any) -> None:
        count, cents = state.get(ROW) or (0, 0)
        state.set(ROW, [count + 1, cents + claim["charge_cents"]])

    app.dataframe(app.topic(job.source)).update(add, stateful=True)


def _windowed_sum(app: Any, job: Job, window: Window) -> None:
    """Count claims and sum their charges per member and window of event time."""

    def at(claim: Any, _headers: Any, _time_ms: int, _kind: Any) -> int:
        time_ms: int = claim["event_time_ms"]
        return time_ms

    def first(claim: Any) -> list[int]:
        return [1, claim["charge_cents"]]

    def add(row: list[int], claim: Any) -> list[int]:
        return [row[0] + 1, row[1] + claim["charge_cents"]]

    frame = app.dataframe(app.topic(job.source, timestamp_extractor=at))
    options = {
        "duration_ms": window.size_ms,
        "grace_ms": max(window.grace_ms, aggregate.RETENTION_MS),
        "name": TABLE,
    }
    if window.advance_ms == window.size_ms:
        windows = frame.tumbling_window(**options)
    else:
        windows = frame.hopping_window(**options, step_ms=window.advance_ms)
    windows.reduce(reducer=add, initializer=first).final(closing_strategy="partition")


def announce(app: Any, ready: Path) -> None:
    """Make the file `ready` once state is loaded; no public hook tells, so two calls are wrapped."""
    manager, assign, recover = app._state_manager, app._on_assign, app._state_manager.do_recovery  # noqa: SLF001

    def announce_if_loaded() -> None:
        if not manager.recovery_required:
            ready.touch()

    def assigned(*arguments: Any) -> None:
        assign(*arguments)
        announce_if_loaded()

    def recovered() -> None:
        recover()
        announce_if_loaded()

    app._on_assign, manager.do_recovery = assigned, recovered  # noqa: SLF001


def main(job: Job) -> None:
    """Process `job` until SIGTERM."""
    app = new_app(job)
    announce(app, Path(job.ready_path))
    app.run()


if __name__ == "__main__":
    main(take())
