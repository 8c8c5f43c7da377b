"""Late claims of a run: events that were late themselves, and shares of events that were."""

from __future__ import annotations

from decimal import Decimal

from agents.aggregator.aggregating import late_headers
from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.messages import Partial, Share, Source, encode
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.windowing import Window
from fleet.cli.run.aggregates import Sums
from fleet.cli.run.late import late_of, sums_of
from tests.support.agents_claims import a_claim
from tests.support.agents_fleet import SUBJECT
from tests.support.agents_schemas import warmed_codec
from tests.support.aggregate_definitions import a_build
from tests.support.aggregates import whole
from tests.support.lane_fakes import SourceRecord

BUILD = a_build()
WINDOW = Window(0, 60_000)


def late(reason: str, value: bytes, build: Compiled = BUILD) -> SourceRecord:
    """Return a record of the topic of late events."""
    return SourceRecord(value, headers=late_headers(build.id, reason, [WINDOW], 0))


def a_share(*charges: str) -> Share:
    """Return the share of a window that claims with these charges come to."""
    count, total = (whole(function, [Decimal(each) for each in charges]) for function in BUILD.functions)
    return WINDOW.start_ms, WINDOW.end_ms, len(charges), [count, total]


async def test_events_and_shares_are_summed_by_provider() -> None:
    """A claim that its partition was past, and two that the other partitions went on without."""
    codec = await warmed_codec()
    events = [codec.encode(SUBJECT, a_claim(npi=npi, charge="1.10")) for npi in ("1", None)]
    share = Partial(BUILD.id, Source("canonical.claim", 0), {group_key(["1"]): [a_share("2.00", "3.05")]})
    records = [*(late("after_close", event) for event in events), late("idle_source", encode(share))]
    assert await sums_of(BUILD, records, codec) == {
        "1": Sums(3, Decimal("6.15")),
        "no-npi": Sums(1, Decimal("1.10")),
    }


def test_what_is_late_for_another_build_is_not_of_this_one() -> None:
    """The header tells them apart, and a record without it is of none."""
    mine, other = late("after_close", b""), late("after_close", b"", a_build(2))
    assert late_of(BUILD, [other, mine, SourceRecord(b"")]) == [mine]
