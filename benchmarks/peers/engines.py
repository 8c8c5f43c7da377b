"""The peers: engines of others, each doing the cases of ``CASES.md`` as its documentation advises."""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.engines import Engine, PerSecond
from benchmarks.peers.quix import command as quix
from benchmarks.peers.streams import build as streams
from benchmarks.peers.streams.rows import binary_row
from benchmarks.workers.job import Guarantee

_STREAMS_SETTINGS = (
    "Kafka Streams 4.3.1 on Java 25, one stream thread, 1 GiB heap, SerialGC, table in memory (faster here "
    "than RocksDB), record cache 64 MiB, batches of 512 KiB, commits every {commits}; JSON by Jackson's "
    "streaming parser, Avro by its fast reader with the schema of the wanted fields, rules found by the "
    "value they ask for"
)
_WARMUP_EVENTS = 1_000_000
_QUIX_SETTINGS = (
    "quix-streams 3.28.1, tables in RocksDB, windows kept for a day, batches of 512 KiB, commits every 250 "
    "ms (default 5 s); keys and routed values as bytes, JSON by orjson, Avro by fastavro with the schema of "
    "the wanted fields"
)
_STREAMS: Final[tuple[tuple[str, Guarantee, str, int], ...]] = (
    ("kafka-streams-eos", "exactly_once", "100 ms (the default)", sys.maxsize),
    ("kafka-streams-alo", "at_least_once", "500 ms (the default, 30 s, is longer than a run)", 2),
)
_QUIX: Final[tuple[tuple[str, Guarantee], ...]] = (
    ("quix-eo", "exactly_once"),
    ("quix-alo", "at_least_once"),
)

ENGINES: Final[tuple[Engine, ...]] = (
    *(
        Engine(
            name=name,
            guarantee=guarantee,
            settings=_STREAMS_SETTINGS.format(commits=commits),
            command=streams.command,
            per_s=PerSecond(150_000, 350_000),
            max_runs=max_runs,
            warmup_events=_WARMUP_EVENTS,
            row=binary_row,
        )
        for name, guarantee, commits, max_runs in _STREAMS
    ),
    *(
        Engine(
            name=name,
            guarantee=guarantee,
            settings=_QUIX_SETTINGS,
            command=quix.command,
            per_s=PerSecond(30_000, 30_000),
            max_runs=2,
            state_keys=200_000,
            warmup_events=5_000,
            store="rocksdb",
            changelog=quix.changelog,
            makes_changelog=True,
            row=quix.json_row,
        )
        for name, guarantee in _QUIX
    ),
)
