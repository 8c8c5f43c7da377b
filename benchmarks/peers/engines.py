"""The peers: engines of others, each doing the cases of ``CASES.md`` as its documentation advises."""

from __future__ import annotations

from typing import Final

from benchmarks.engines import Engine

ENGINES: Final[tuple[Engine, ...]] = ()
