"""Aggregations in their config log, with a real schema registry."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio

from api.services import Services
from fleet.settings import Settings
from schemas.registry import Registry
from tables.aggregations.acting import pause_over_quota
from tables.aggregations.errors import AggregationError
from tables.definitions import Definitions
from tables.kinds import Filter
from tests.support.api import ADMIN, an_aggregation

MAX_OF_CHARGE = [{"as": "total", "function": "max", "of": "event.total_charge"}]


@pytest_asyncio.fixture
async def aggregations(stack_settings: Settings) -> AsyncIterator[Definitions]:
    """The aggregations of the stack."""
    services = Services.of(stack_settings)
    yield services.aggregations
    await services.close()


async def test_what_the_platform_sets_is_in_the_row(
    aggregations: Definitions, stack_settings: Settings
) -> None:
    """The type of each argument, and the id of the schema of its results, registered as its own subject."""
    written = await aggregations.create(an_aggregation("a1"), ADMIN)
    assert written["functions"][0]["type"] == "decimal(2)"
    registry = Registry(stack_settings.registry)
    registered = await registry.latest("fleet.aggregations.a1")
    await registry.close()
    (build,) = written["builds"]
    assert (build["number"], build["output_schema"]) == (1, registered.schema_id)
    assert written["serving"] == 1
    assert [field["name"] for field in registered.schema["fields"]][:4] == [
        "payer",
        "window_start",
        "window_end",
        "total",
    ]
    assert await aggregations.get("a1") == written
    page = await aggregations.page(Filter(source="canonical.claim"))
    assert "a1" in {each["name"] for each in page.items}


async def test_a_new_version_has_to_read_what_was_written(aggregations: Definitions) -> None:
    """A function more is fine; a field of another type is refused, in words, and nothing is written."""
    first = await aggregations.create(an_aggregation("a2"), ADMIN)
    more = an_aggregation("a2", functions=[*first["functions"], {"as": "n", "function": "count"}])
    second = await aggregations.update("a2", more, 1, ADMIN)
    old, new = second["builds"]
    assert (old, new["number"], second["serving"]) == (first["builds"][0], 2, 1)
    assert new["output_schema"] != old["output_schema"]
    changed = an_aggregation("a2", functions=[{**MAX_OF_CHARGE[0], "function": "distinct"}])
    with pytest.raises(AggregationError, match="aggregation 'a2': functions: who reads the results"):
        await aggregations.update("a2", changed, 2, ADMIN)
    assert (await aggregations.get("a2"))["version"] == 2


async def test_what_is_wrong_for_the_source_is_not_written(aggregations: Definitions) -> None:
    """With field, line and column."""
    wrong = an_aggregation("a3", functions=[{"as": "t", "function": "sum", "of": "event.total_chrage"}])
    with pytest.raises(AggregationError, match="did you mean 'total_charge'") as refused:
        await aggregations.create(wrong, ADMIN)
    assert (refused.value.field, refused.value.line, refused.value.column) == ("functions[0].of", 1, 1)
    assert "a3" not in (await aggregations.table()).documents


async def test_each_has_a_topic_of_its_own(aggregations: Definitions) -> None:
    """Until the one that had it is deleted; without a topic there is nothing to share."""
    await aggregations.create(an_aggregation("a4"), ADMIN)
    same = an_aggregation("a5", output={"topic": "finance.a4"}, state="draft")
    with pytest.raises(AggregationError, match=r"output\.topic: 'a4' writes to 'finance\.a4'"):
        await aggregations.create(same, ADMIN)
    await aggregations.delete("a4", 1, ADMIN)
    await aggregations.create(same, ADMIN)
    for name in ("a6", "a7"):
        await aggregations.create(an_aggregation(name, output={}), ADMIN)


async def test_stopping_one_needs_no_schema(aggregations: Definitions) -> None:
    """What the platform set stays in the row."""
    first = await aggregations.create(an_aggregation("a8"), ADMIN)
    paused = await aggregations.pause("a8", 1, ADMIN)
    assert paused == {**first, "state": "paused", "version": 2}
    assert await aggregations.resume("a8", 2, ADMIN) == {**first, "state": "active", "version": 3}


@pytest.mark.parametrize("name", ["export", "import"])
async def test_names_of_paths_are_taken(aggregations: Definitions, name: str) -> None:
    """The HTTP API needs them."""
    with pytest.raises(AggregationError, match=f"name: '{name}' is taken"):
        await aggregations.create(an_aggregation(name), ADMIN)


async def test_one_over_quota_is_paused_once(aggregations: Definitions) -> None:
    """By the platform, with why, whichever worker is first; once it is resumed, why is gone."""
    await aggregations.create(an_aggregation("a9"), ADMIN)
    paused = [await pause_over_quota(aggregations, "a9", 1, "too many keys") for _ in range(2)]
    assert paused == [True, False]
    found = await aggregations.get("a9")
    assert (found["version"], found["state"], found["paused_because"]) == (2, "paused", "too many keys")
    assert [each["number"] for each in found["builds"]] == [1]
    (_, record) = [orjson.loads(each.value or b"") async for each in aggregations.log.records("a9")]
    assert (record["action"], record["actor"]["id"]) == ("pause", "platform:aggregator")
    assert record["reason"] == "too many keys"
    resumed = await aggregations.resume("a9", 2, ADMIN)
    assert (resumed["paused_because"], resumed["builds"]) == ("", found["builds"])


async def test_what_is_gone_is_not_paused(aggregations: Definitions) -> None:
    """A build that was discarded, an aggregation that was deleted, or one that never was."""
    await aggregations.create(an_aggregation("a10"), ADMIN)
    assert not await pause_over_quota(aggregations, "a10", 7, "too many keys")
    await aggregations.delete("a10", 1, ADMIN)
    for name in ("a10", "nobody"):
        assert not await pause_over_quota(aggregations, name, 1, "too many keys")
    assert (await aggregations.get("a10"))["version"] == 2
