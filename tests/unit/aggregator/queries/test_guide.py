"""The guide to queries: what people copy from it is accepted, and what it says of the API is so."""

from __future__ import annotations

import re

import orjson
from aiohttp import web
from yarl import URL

from agents.aggregator.queries import changes
from agents.aggregator.queries.answers import Found
from agents.aggregator.queries.asked import instant_ms
from agents.aggregator.queries.changes import ChangeHandlers
from agents.aggregator.queries.feed import Feeds
from agents.aggregator.queries.handlers import LIMIT, MAX_KEYS, MAX_LIMIT, PREFIX, AggregateHandlers
from agents.aggregator.queries.spread import Spread
from agents.aggregator.queries.targets import Targets
from api.mounting import PREFIX as API
from fleet.lane import LaneApp
from fleet.lane.config import LaneConfig
from fleet.lane.topics import Topics
from fleet.settings import Settings
from schemas.codec import Codec
from tests.support.queried import Schemas, a_world, planned
from tests.support.stack import ROOT

GUIDE = (ROOT / "docs" / "aggregate-queries.md").read_text()
ROWS = [line.split("|")[1].strip() for line in GUIDE.splitlines() if line.startswith("| `")]
TARGET = a_world().target


def _told() -> set[tuple[str, str]]:
    """Return method and path of each row of the table."""
    found = (re.match(r"`(GET|POST) …([^`?]*)", row) for row in ROWS)
    return {(each[1], f"/aggregates{each[2]}") for each in found if each is not None}


def test_the_table_has_every_path_and_no_other() -> None:
    """With its method."""
    lane = LaneConfig.of(Settings())
    app = web.Application()
    targets = Targets(_ready, planned, Schemas())
    AggregateHandlers(targets, Spread(LaneApp("told"))).add_routes(app)
    ChangeHandlers(targets, Feeds(lane, Topics(lane), Codec(Schemas()))).add_routes(app)
    there = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert _told() == there
    assert f"`{API}{PREFIX}`" in GUIDE


async def _ready() -> None:
    """Definitions are known from the start."""


def test_the_examples_of_keys_name_one() -> None:
    """In the query as in the body, with null."""
    body = orjson.loads(_found(r"`(\{\"keys\": .*\})`"))
    assert body.keys() == {"keys", "latest"}
    (key,) = body["keys"]
    null = _found(r"Null is `([^`]*)`")
    query = {"provider": key["provider"], **URL(f"?{null}").query}
    assert TARGET.parts.of_query(query, ()) == TARGET.parts.of_values(key) == '["p1",null]'


def test_the_example_of_an_answer_has_the_form_of_one() -> None:
    """Its row as rows are shown, what is said of it as it is said of each."""
    answer = orjson.loads(_found(r"```json\n(.*?)```"))
    (row,) = answer.pop("rows")
    ends = (instant_ms(row["start"], "start"), instant_ms(row["end"], "end"))
    assert Found(row["key"], *ends, row["state"] == "closed", row["values"]).shown() == row
    assert answer.keys() == {*TARGET.about(), "watermark", "as_of", "standbys", "next"}
    assert set(row["values"]) <= set(TARGET.functions)


def test_limits_are_told() -> None:
    """As numbers that are the platform's, in the guide's own words."""
    assert f"`limit` ({LIMIT}, at most {MAX_LIMIT:,})" in GUIDE
    assert f"up to {MAX_KEYS:,} groups" in GUIDE
    told = " ".join(GUIDE.split())
    assert f"A client that takes nothing for {changes.SLOW_LIMIT_S:.0f} s is cut off" in told
    assert changes.HEARTBEAT_S == 10
    assert "`still` every ten seconds" in told
    assert f"A worker serves {changes.MAX_STREAMS} such clients at a time" in told
    assert int(_found(r"\?wait_s=([0-9]+)")) <= changes.MAX_WAIT_S


def _found(pattern: str) -> str:
    found = re.search(pattern, GUIDE, re.DOTALL if "```" in pattern else 0)
    assert found is not None, pattern
    return found[1]
