"""Windows of event time: tumbling, hopping, sessions, calendar; half open, [start, end)."""

from agents.aggregator.domain.windowing.parsing import parse_windows
from agents.aggregator.domain.windowing.sessions import merge_sessions
from agents.aggregator.domain.windowing.window import (
    ALL_TIME,
    Window,
    parse_time_key,
    parse_window_key,
    time_key,
)
from agents.aggregator.domain.windowing.windows import Windows

__all__ = [
    "ALL_TIME",
    "Window",
    "Windows",
    "merge_sessions",
    "parse_time_key",
    "parse_window_key",
    "parse_windows",
    "time_key",
]
