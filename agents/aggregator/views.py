"""Web views of the aggregator: the same answer on any worker.

A provider's windows are asked of the worker that holds them; what spans providers is asked
of all workers and put together. An answer is complete, or it is a 503.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from faust.exceptions import SameNode

from agents.aggregator.domain.aggregation import OPEN, OPEN_MARK, PROGRESS, ROWS
from agents.aggregator.domain.windows import SIZES_MS, Window, parse_row_key, row_key
from fleet.lane import LaneApp
from fleet.lane.gather import Local, gather
from fleet.lane.routing import unavailable
from fleet.lane.tables import LaneTable

MAX_ROWS = 10_000
MAX_DIGITS = 9
DEFAULT_TOP = 10


def add_views(app: LaneApp, windows: LaneTable) -> None:
    """Add ``/providers/{npi}``, ``/windows/{kind}/{start}``, ``/top`` and ``/totals`` over `windows`."""

    @app.page("/providers/{npi}", name="provider")
    async def provider(view: Any, request: Any, npi: str) -> Any:
        """A provider's windows in order of time; ``kind``, ``from`` and ``to`` (ISO 8601) narrow them."""
        start, stop, kinds = _range(view, request)
        try:
            return await app.router.route_req(ROWS, f"{npi}|", view.web, request)
        except SameNode:
            pass
        state = windows.state_of(f"{npi}|")
        if state is None:
            raise unavailable("state is being loaded")
        rows = [
            _shown(key, row)
            for kind in kinds
            for key, row in state.scan(
                row_key(npi, Window(kind, start, 0)), row_key(npi, Window(kind, stop, 0))
            )
        ]
        if not rows:
            raise view.NotFound(f"no windows of provider {npi}")
        return view.json({"provider": npi, "windows": rows})

    _add_views_over_providers(app)


def _add_views_over_providers(app: LaneApp) -> None:
    @app.page("/windows/{kind}/{start}", name="window")
    async def window(view: Any, request: Any, kind: str, start: str) -> Any:
        """Every provider of one window, most charges first."""
        _check_kind(view, kind)
        start_ms = _epoch_ms(view, start)
        most = _limit(view, request, MAX_ROWS)

        async def here(asked: set[int]) -> list[dict[str, Any]]:
            rows = app.lane_rows(ROWS, asked)
            return [_shown(key, row) async for key, row in rows if _is(key, kind, start_ms)]

        return view.json({"rows": await _most(app, request, here, most)})

    @app.page("/top", name="top")
    async def top(view: Any, request: Any) -> Any:
        """Providers by charges over all their windows of one kind (``kind``, by default day)."""
        kind = request.query.get("kind", "day")
        _check_kind(view, kind)
        most = _limit(view, request, DEFAULT_TOP)
        here = partial(_totals_by_provider, app, kind)
        return view.json({"rows": await _most(app, request, here, most)})

    @app.page("/totals", name="totals")
    async def totals(view: Any, request: Any) -> Any:
        """Claims, charges and late claims over all providers, by window kind; watermarks by partition."""
        parts = await gather(app, request, ROWS, partial(_totals, app))
        merged: dict[str, Any] = {"watermarks": {}, "open_windows": 0, "kinds": {}}
        for part in parts:
            merged["watermarks"].update(part["watermarks"])
            merged["open_windows"] += part["open_windows"]
            for kind, found in part["kinds"].items():
                merged["kinds"][kind] = _sum(merged["kinds"].get(kind), found)
        return view.json(merged)


async def _most(app: LaneApp, request: Any, here: Local, most: int) -> list[dict[str, Any]]:
    """Return the rows of all workers with the most charges; each row is of one worker."""
    parts = await gather(app, request, ROWS, here)
    rows = [row for part in parts for row in _list(part)]
    return await asyncio.to_thread(_by_charges, rows, most)


def _list(part: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = part["rows"] if isinstance(part, dict) else part
    return rows


def _is(key: str, kind: str, start_ms: int) -> bool:
    _, window = parse_row_key(key)
    return window.kind == kind and window.start_ms == start_ms


def _shown(key: str, row: dict[str, Any]) -> dict[str, Any]:
    provider, window = parse_row_key(key)
    return {
        "provider": provider,
        "kind": window.kind,
        "start": _iso(window.start_ms),
        "end": _iso(window.end_ms),
        "claims": row["claims"],
        "charges": row["charges"],
        "final": row["final"],
        "late_claims": row["late"],
    }


async def _totals_by_provider(app: LaneApp, kind: str, asked: set[int]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    async for key, row in app.lane_rows(ROWS, asked):
        provider, window = parse_row_key(key)
        if window.kind == kind:
            found[provider] = _sum(found.get(provider), row | {"windows": 1})
    return [{"provider": provider, **row} for provider, row in found.items()]


async def _totals(app: LaneApp, asked: set[int]) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {}
    async for key, row in app.lane_rows(ROWS, asked):
        _, window = parse_row_key(key)
        kinds[window.kind] = _sum(kinds.get(window.kind), row | {"windows": 1})
    progress = app.lane_rows(PROGRESS, asked)
    marks = [mark async for _, mark in app.lane_rows(OPEN, asked) if mark == OPEN_MARK]
    return {
        "watermarks": {key.split("/")[0]: _iso(at["watermark"]) async for key, at in progress},
        "open_windows": len(marks),
        "kinds": kinds,
    }


def _sum(left: dict[str, Any] | None, right: dict[str, Any]) -> dict[str, Any]:
    before = left or {"windows": 0, "claims": 0, "charges": "0", "late": 0}
    return {
        "windows": before["windows"] + right["windows"],
        "claims": before["claims"] + right["claims"],
        "charges": str(Decimal(before["charges"]) + Decimal(right["charges"])),
        "late": before["late"] + right["late"],
    }


def _by_charges(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    return heapq.nsmallest(most, rows, key=lambda row: (-Decimal(row["charges"]), row["provider"]))


def _limit(view: Any, request: Any, usual: int) -> int:
    asked = request.query.get("n")
    if asked is None:
        return usual
    if not asked.isdecimal():
        raise view.ParseError(f"n {asked!r}: use a number of rows")
    return min(int(asked[:MAX_DIGITS]), MAX_ROWS)


def _range(view: Any, request: Any) -> tuple[int, int, list[str]]:
    query = request.query
    start = _epoch_ms(view, query["from"]) if "from" in query else 0
    stop = _epoch_ms(view, query["to"]) if "to" in query else 10**14 - 1
    kind = query.get("kind")
    if kind is None:
        return start, stop, list(SIZES_MS)
    _check_kind(view, kind)
    return start, stop, [kind]


def _check_kind(view: Any, kind: str) -> None:
    if kind not in SIZES_MS:
        raise view.ParseError(f"kind {kind!r}: use hour or day")


def _epoch_ms(view: Any, text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise view.ParseError(f"time {text!r}: use ISO 8601, e.g. 2026-01-05T13:00:00Z") from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _iso(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
