"""The engines of ``make bench-aggregation``."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from benchmarks import product
from benchmarks.engines import PRODUCT, Aggregates, Engine, PerSecond, python
from benchmarks.goals import STREAMS_EOS
from benchmarks.peers.engines import ENGINES as PEERS
from benchmarks.peers.quix import command as quix
from benchmarks.peers.streams import rows as streams
from benchmarks.workers.job import (
    AGGREGATE_HOPPING,
    AGGREGATE_SESSION,
    AGGREGATE_TEN,
    AGGREGATE_TUMBLING,
    AGGREGATES,
    QUERY,
)

_STREAMS_SETTINGS: Final = (
    "Kafka Streams 4.3.1 on Java 25, one stream thread, 1 GiB heap, SerialGC, the DSL: group and charge "
    "alone go through a repartition topic for each aggregation, tables in RocksDB, record cache 64 MiB, "
    "batches of 512 KiB, commits every {commits}; events decoded once by Avro's fast reader with the schema "
    "of the wanted fields, charges summed as 64-bit cents"
)
_QUIX_SETTINGS: Final = (
    "quix-streams 3.28.1, tables in RocksDB, windows kept for a day, batches of 512 KiB, commits every 250 "
    "ms (default 5 s); group and charge alone go through a repartition topic; events decoded once by "
    "fastavro with the schema of the wanted fields, charges summed as cents"
)
_STREAMS: Final = Aggregates(
    repartitions=streams.repartitions, changelogs=streams.changelogs, row=streams.aggregate_row
)
_QUIX: Final = Aggregates(repartitions=quix.repartitions, changelogs=quix.changelogs, row=quix.aggregate_row)
_QUIX_PER_S: Final = {
    AGGREGATE_TUMBLING: 15_000,
    AGGREGATE_HOPPING: 6_000,
    AGGREGATE_SESSION: 6_000,
}
_OWN_PER_S: Final = {
    AGGREGATE_TUMBLING: 100_000,
    AGGREGATE_HOPPING: 60_000,
    AGGREGATE_SESSION: 60_000,
    AGGREGATE_TEN: 20_000,
}
_STREAMS_PER_S: Final = {
    AGGREGATE_TUMBLING: 90_000,
    AGGREGATE_HOPPING: 60_000,
    AGGREGATE_SESSION: 60_000,
    AGGREGATE_TEN: 15_000,
}


def _own(name: str, store: Literal["memory", "rocksdb"]) -> Engine:
    return Engine(
        name=name,
        guarantee="exactly_once",
        settings=f"as shipped: the aggregator, definitions written as teams do, state in {store}, no output",
        command=python("benchmarks.workers.aggregator"),
        cases=(*AGGREGATES, QUERY),
        per_s=PerSecond(0, 0, _OWN_PER_S),
        warmup_events=100_000,
        makes_changelog=True,
        store=store,
        aggregates=product.AGGREGATES,
    )


def _streams(engine: Engine, commits: str) -> Engine:
    return replace(
        engine,
        settings=_STREAMS_SETTINGS.format(commits=commits),
        cases=AGGREGATES,
        per_s=PerSecond(0, 0, _STREAMS_PER_S),
        store="rocksdb",
        aggregates=_STREAMS,
    )


def _quix(engine: Engine) -> Engine:
    return replace(
        engine,
        settings=_QUIX_SETTINGS,
        cases=(AGGREGATE_TUMBLING, AGGREGATE_HOPPING, AGGREGATE_SESSION),
        per_s=PerSecond(0, 0, _QUIX_PER_S),
        aggregates=_QUIX,
    )


_PEERS: Final = {engine.name: engine for engine in PEERS}
ENGINES: Final = {
    engine.name: engine
    for engine in (
        _own(PRODUCT, "memory"),
        _own(f"{PRODUCT}-rocksdb", "rocksdb"),
        _streams(_PEERS[STREAMS_EOS], "100 ms (the default)"),
        _streams(_PEERS["kafka-streams-alo"], "500 ms (the default, 30 s, is longer than a run)"),
        _quix(_PEERS["quix-eo"]),
        _quix(_PEERS["quix-alo"]),
    )
}
