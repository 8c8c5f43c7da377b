"""Field note: Faust's windows close for one partition alone, and by the wall clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lane_worker import TABLE, new_app
from tests.support.stock_faust import stock_app

if TYPE_CHECKING:
    from pathlib import Path

    from fleet.settings import Settings

PARTITIONS = 4
LONG_AGO_S = (1_577_836_800.0, 1_577_836_809.9)  # A window of 2020.


async def test_stock_faust_closes_a_window_on_one_partition_of_four(tmp_path: Path) -> None:
    """All four lose their rows of a window of 2020, by today's clock, and one is told."""
    closed: list[Any] = []
    app = stock_app("windows", tmp_path)
    table = app.Table("counts", default=int, on_window_close=lambda key, _: closed.append(key))
    table.tumbling(10.0, expires=10.0)
    for partition in range(PARTITIONS):
        key = (f"key-{partition}", LONG_AGO_S)
        table.data[key] = 1
        table._maybe_set_key_ttl(key, partition)
    await table._del_old_keys()
    assert dict(table.data) == {}
    assert len(closed) == 1


@pytest.mark.parametrize("kind", ["tumbling", "hopping", "using_window"])
def test_a_lane_table_has_no_windows_of_faust(offline_settings: Settings, kind: str) -> None:
    """It refuses at declaration and says what to do: windows by event time are the agent's own rows."""
    table: Any = new_app("windows", 6066, "charges", offline_settings).tables[TABLE]
    with pytest.raises(TypeError, match=f"table {TABLE} has no windows of Faust: .* in the row's key"):
        getattr(table, kind)(10.0)
