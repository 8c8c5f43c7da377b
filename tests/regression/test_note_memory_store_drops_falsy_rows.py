"""Field note: a delete and then a falsy value in one recovery batch, and the key is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fleet.lane.stores.memory import MemoryStore
from tests.support.stock_faust import stock_app

if TYPE_CHECKING:
    from pathlib import Path

FALSY = [0, "", [], {}, False]
KEY = "key"


def batch(value: Any) -> list[Any]:
    """Return a changelog batch that deletes a row and then writes it again."""
    written = [None, orjson.dumps(value)]
    return [SimpleNamespace(key=KEY.encode(), value=each, partition=0) for each in written]


@pytest.mark.parametrize("value", FALSY, ids=repr)
def test_stock_faust_drops_a_falsy_row_after_a_delete(tmp_path: Path, value: Any) -> None:
    """The last word of the changelog is a value, and the recovered table does not have it."""
    store = stock_app("falsy", tmp_path).Table("counts").data
    events = [
        SimpleNamespace(key=each.key.decode(), value=each.value and orjson.loads(each.value), message=each)
        for each in batch(value)
    ]
    store.apply_changelog_batch(events, to_key=str, to_value=lambda each: each)
    assert dict(store) == {}


@pytest.mark.parametrize("value", FALSY, ids=repr)
def test_the_lane_keeps_a_falsy_row_after_a_delete(value: Any) -> None:
    """The last word counts, whatever it is."""
    store = MemoryStore()
    store.replay(batch(value), 2)
    assert dict(store.items()) == {KEY: value}
