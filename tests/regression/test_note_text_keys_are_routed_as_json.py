"""Field note: Faust looks for a text key where its JSON form would be (faust-streaming/faust#514)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.partitioner import DefaultPartitioner
from faust.app.router import Router

from tests.support.lane_worker import TABLE, new_app
from tests.support.stock_faust import stock_app

if TYPE_CHECKING:
    from pathlib import Path

    from fleet.settings import Settings

PARTITIONS = 8
KEYS = [f"key-{number}" for number in range(1000)]


def home(key: bytes) -> int:
    """Return the partition that a producer puts a record of `key` in."""
    everything = list(range(PARTITIONS))
    return int(DefaultPartitioner()(key, everything, everything))


def test_stock_faust_looks_for_most_text_keys_elsewhere(tmp_path: Path) -> None:
    """Of 1000 keys, some 7 of 8 are looked for on another partition than their records are on."""
    table: Any = stock_app("keys", tmp_path).Table("sums", key_type=str)
    wrong = [key for key in KEYS if home(Router._get_serialized_key(table, key)) != home(key.encode())]
    assert 800 < len(wrong) < 950


def test_the_lane_looks_for_every_key_where_its_records_are(offline_settings: Settings) -> None:
    """All 1000 keys; over HTTP from either worker: `test_table_views`."""
    table: Any = new_app("keys", 6066, "charges", offline_settings).tables[TABLE]
    assert [key for key in KEYS if table.partition_of(key, PARTITIONS) != home(key.encode())] == []
