"""Field note: Faust's RocksDB takes 2 GiB of cache a partition, and eats its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faust.stores.rocksdb import RocksDBOptions, Store

from tests.support.stock_faust import stock_app

if TYPE_CHECKING:
    from pathlib import Path


def test_stock_faust_reserves_two_gib_for_each_partition() -> None:
    """Each partition's database is opened with a block cache of its own."""
    assert RocksDBOptions().block_cache_size == 2 << 30
    first, second = (RocksDBOptions().as_options() for _ in range(2))
    assert first is not second


def test_stock_faust_takes_options_out_of_the_callers_dict(tmp_path: Path) -> None:
    """A second store made from the same options is another than the first."""
    app = stock_app("options", tmp_path)
    options: dict[str, Any] = {"read_only": True, "driver": "rocksdict"}
    stores = [Store("rocksdb://", app, app.Table(f"t{number}"), options=options) for number in range(2)]
    assert [store.read_only for store in stores] == [True, False]
    assert options == {}


def test_stock_faust_does_not_read_the_driver_of_the_url(tmp_path: Path) -> None:
    """Which binding is used depends on what can be imported alone."""
    app = stock_app("driver", tmp_path)
    store = Store("rocksdb://?driver=python-rocksdb", app, app.Table("t"))
    assert store.use_rocksdict
