"""Definitions over orders that between them have every function and every kind of window, and their SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.support.aggregate_batch import Question
from tests.support.aggregate_functions import Asked

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
GROUPS: Final = {
    "customer": ("event.customer", "customer"),
    "region": ("event.region", "region"),
    "express": ("event.express", "express"),
}

_FILTER: Final = ("event.items % 7 != 0", "items % 7 != 0")
_LARGE: Final = ('event.amount >= decimal("5000")', "amount >= 5000")
_EXPRESS: Final = ("event.express", "express")
_QUANTILES: Final = [0.0, 0.25, 0.5, 0.9, 0.999, 1.0]
_OF: Final[dict[str, dict[str, Any]]] = {
    "order_id": {},
    "article": {},
    "amount": {"places": 6},
    "fee": {"places": 6},
    "items": {},
    "weight": {"double": True},
    "score": {"double": True},
}


def _asked(
    name: str, function: str, of: str = "", where: tuple[str, str] = ("", "true"), **fields: Any
) -> Asked:
    document = {"as": name, "function": function, **fields}
    document |= {"of": f"event.{of}"} if of else {}
    document |= {"where": where[0]} if where[0] else {}
    return Asked(document, of, where[1], **_OF.get(of, {}))


SKETCHES: Final = (
    _asked("ids", "distinct", "order_id"),
    _asked("regions", "distinct", "region"),
    _asked("amounts", "quantiles", "amount", quantiles=_QUANTILES),
    _asked("scores", "quantiles", "score", quantiles=_QUANTILES),
    _asked("frequent", "top_k", "region", limit=2),
    _asked("articles", "top_k", "article", limit=20),
)
"""Functions that are near to what is right where there are many values, and exact where there are few."""

FUNCTIONS: Final = (
    _asked("orders", "count"),
    _asked("shipped", "count", "shipped_at"),
    _asked("large", "count", "", _LARGE),
    *(
        _asked(f"{function}_{of}", function, of)
        for function in ("sum", "avg", "variance")
        for of in ("amount", "fee", "items", "weight", "score")
    ),
    _asked("variance_pop_amount", "variance_pop", "amount"),
    _asked("variance_pop_score", "variance_pop", "score"),
    *(
        _asked(f"{function}_{of}", function, of)
        for function in ("min", "max")
        for of in ("amount", "score", "order_id", "express", "shipped_at")
    ),
    *(
        _asked(f"{function}_{of}", function, of)
        for function in ("first", "last")
        for of in ("fee", "weight", "token")
    ),
    _asked("some", "collect", "order_id", limit=5),
    _asked("fees", "collect", "fee", limit=3),
    *SKETCHES,
)
"""Every function; between them they take values of every type."""

EXPRESS_FUNCTIONS: Final = (
    _asked("express_total", "sum", "amount", _EXPRESS),
    _asked("large_total", "sum", "amount", _LARGE),
    _asked("large_last", "last", "order_id", _LARGE),
    _asked("large_ids", "collect", "order_id", _LARGE, limit=2),
    _asked("express_spread", "variance", "weight", _EXPRESS),
    _asked("express_ids", "distinct", "order_id", _EXPRESS),
)
"""Functions that take only some of the events."""


def question(
    windows: Mapping[str, Any],
    *,
    grace_ms: int = 0,
    functions: Sequence[Asked] = FUNCTIONS + EXPRESS_FUNCTIONS,
    groups: Sequence[str] = ("customer",),
    filtered: bool = False,
    sources: Sequence[str] = ("shop.orders",),
) -> Question:
    """Return a calculation over orders, with all functions where none are named."""
    document = {
        "sources": list(sources),
        "group_by": {name: GROUPS[name][0] for name in groups},
        "event_time": "event.placed_at",
        "windows": dict(windows),
        "grace_ms": grace_ms,
        "functions": [dict(each.document) for each in functions],
        "filter": _FILTER[0] if filtered else "true",
    }
    return Question(
        document,
        {name: GROUPS[name][1] for name in groups},
        functions,
        _FILTER[1] if filtered else "true",
        windows,
    )


QUESTIONS: Final = {
    "tumbling": question(
        {"kind": "tumbling", "size_ms": HOUR_MS, "offset_ms": 7 * MINUTE_MS},
        grace_ms=HOUR_MS,
        functions=FUNCTIONS,
    ),
    "hopping": question(
        {"kind": "hopping", "size_ms": 5 * HOUR_MS, "hop_ms": 2 * HOUR_MS},
        grace_ms=30 * MINUTE_MS,
        filtered=True,
    ),
    "session": question(
        {"kind": "session", "gap_ms": 10 * MINUTE_MS}, grace_ms=HOUR_MS, groups=("customer", "region")
    ),
    "calendar": question(
        {"kind": "calendar", "unit": "day", "time_zone": "America/New_York"},
        grace_ms=2 * HOUR_MS,
        groups=("region",),
    ),
    "weeks": question(
        {"kind": "calendar", "unit": "week", "time_zone": "Asia/Kolkata"},
        functions=EXPRESS_FUNCTIONS,
        groups=("region",),
        filtered=True,
    ),
    "months": question(
        {"kind": "calendar", "unit": "month", "time_zone": "Europe/Berlin"},
        functions=EXPRESS_FUNCTIONS,
    ),
    "unwindowed": question({"kind": "none"}),
    "sketches": question({"kind": "none"}, functions=SKETCHES, groups=("express",)),
}
"""Calculations by name: every kind of window, with and without filters, with groups that may be null."""
