"""Claims that came after their window had closed, as the topic of late events has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from agents.aggregator.aggregating import BUILD_HEADER, LATE
from agents.aggregator.domain.messages import Partial, decode
from agents.aggregator.results import group_parts, values_of
from agents.normalizer.normalize import NO_NPI
from fleet.cli.run.aggregates import ByProvider, Sums
from schemas.codec import Codec, schema_ids

if TYPE_CHECKING:
    from agents.aggregator.domain.plan import Compiled

__all__ = ["LATE", "late_of", "sums_of"]

REASON_HEADER: Final = "fleet_late_reason"
ITSELF: Final = b"after_close"
"""The reason of records that are late events themselves; others are what a chunk of them came to."""


def late_of(build: Compiled, records: Iterable[Any]) -> list[Any]:
    """Return the records that are late for a build."""
    return [record for record in records if dict(record.headers).get(BUILD_HEADER) == build.id.encode()]


async def sums_of(build: Compiled, records: Iterable[Any], codec: Codec) -> ByProvider:
    """Return the sums of the claims that are late for a build, by provider."""
    found: defaultdict[str, Sums] = defaultdict(Sums)
    listed = list(records)
    events = [record.value for record in listed if _reason(record) == ITSELF]
    await codec.ensure(schema_ids(events))
    for value in events:
        claim = codec.decode(value)
        found[claim["billing_provider"]["npi"] or NO_NPI] += Sums(1, claim["total_charge"])
    for record in listed:
        if _reason(record) != ITSELF:
            for provider, sums in _in_partial(build, record.value):
                found[provider] += sums
    return found


def _reason(record: Any) -> bytes | None:
    return dict(record.headers).get(REASON_HEADER)


def _in_partial(build: Compiled, value: bytes) -> Iterator[tuple[str, Sums]]:
    partial = decode(value)
    for group, shares in partial.groups.items() if isinstance(partial, Partial) else ():
        for *_, states in shares:
            values = values_of(build, states)
            yield group_parts(build, group)["provider"], Sums(values["claims"], values["charges"])
