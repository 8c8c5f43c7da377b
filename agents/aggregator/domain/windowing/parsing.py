"""From the windows of a definition to what cuts time."""

from __future__ import annotations

from agents.aggregator.domain.windowing.calendar import Calendar
from agents.aggregator.domain.windowing.sessions import Sessions
from agents.aggregator.domain.windowing.windows import Hopping, Tumbling, Unwindowed, Windows
from tables.aggregations.window import WindowKind, WindowSpec


def parse_windows(spec: WindowSpec, grace_ms: int) -> Windows:
    """Return what cuts event time as a definition says.

    Args:
        spec: The windows of the definition, checked.
        grace_ms: How long after its end a window waits for late events, in event time.
    """
    match spec.kind:
        case WindowKind.NONE:
            return Unwindowed(grace_ms)
        case WindowKind.TUMBLING:
            return Tumbling(spec.size_ms, spec.offset_ms, grace_ms=grace_ms)
        case WindowKind.HOPPING:
            return Hopping(spec.size_ms, spec.hop_ms, spec.offset_ms, grace_ms=grace_ms)
        case WindowKind.SESSION:
            return Sessions(spec.gap_ms, grace_ms=grace_ms)
        case WindowKind.CALENDAR:
            return Calendar(spec, grace_ms=grace_ms)
