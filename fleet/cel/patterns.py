"""``matches``: regular expressions of RE2, which takes linear time for every pattern and text.

Syntax: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import re2

from fleet.cel.errors import EvaluationError
from fleet.cel.values import no_function, plain

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_MEMORY_BYTES: Final = 2**20
_CACHED: Final = 256


@lru_cache(maxsize=_CACHED)
def pattern(text: str) -> Callable[[bytes], object]:
    """Return the search of a pattern; the pattern is compiled once while it stays in use.

    Raises:
        EvaluationError: It is not a pattern of RE2, or its program needs more than 1 MiB.
    """
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    try:
        search: Callable[[bytes], object] = re2.compile(text, options).search
    except re2.error as error:
        (reason,) = error.args
        detail = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise EvaluationError(f"not a pattern of RE2: {detail.partition(':')[0]}") from None
    return search


def matches(text: Any, wanted: Any) -> bool:
    """``text.matches(pattern)``: whether a part of `text` matches; ``^`` and ``$`` ask for all of it."""
    text, wanted = plain(text), plain(wanted)
    if type(text) is not str or not (type(wanted) is str or callable(wanted)):
        raise no_function("matches", text, "" if callable(wanted) else wanted)
    search = pattern(wanted) if type(wanted) is str else wanted
    return search(text.encode(errors="surrogatepass")) is not None
