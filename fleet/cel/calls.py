"""What is refused about a call: an unknown name, the wrong form, the wrong number of arguments."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from fleet.cel.errors import refused
from fleet.cel.functions import FUNCTIONS

if TYPE_CHECKING:
    from fleet.cel.nodes import Position

MACROS: Final = {"exists": (2, 2), "all": (2, 2), "exists_one": (2, 2), "filter": (2, 2), "map": (2, 3)}
_NAMES: Final = (*FUNCTIONS, *MACROS, "has")


def require_function(name: str, arguments: int, at: Position, *, method: bool) -> None:
    """Refuse what is no call of a function of the language.

    Args:
        name: The name written.
        arguments: How many arguments are written, without the receiver.
        at: Where the name is.
        method: Whether it is written as ``x.name()``.

    Raises:
        ExpressionError: With what would be right.
    """
    function = FUNCTIONS.get(name)
    if function is None:
        raise refused(_unknown(name, method=method), at.line, at.column)
    if method and not function.method:
        raise refused(f"{name} is a function; write {name}(...)", at.line, at.column)
    if not method and not function.plain:
        raise refused(f"{name} is a method; write x.{name}(...)", at.line, at.column)
    receiver = 1 if method else 0
    require_count(name, function.least - receiver, function.most - receiver, arguments, at)


def require_count(name: str, least: int, most: int, arguments: int, at: Position) -> None:
    """Refuse a call with too few or too many arguments.

    Raises:
        ExpressionError: With the number that would be right.
    """
    if not least <= arguments <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise refused(f"{name}() takes {wanted} argument(s), got {arguments}", at.line, at.column)


def _unknown(name: str, *, method: bool) -> str:
    what = "method" if method else "function"
    if name in MACROS or name == "has":
        right = f"x.{name}(...)" if name in MACROS else "has(event.claim_id)"
        return f"{name} is not a {what}; write {right}"
    near = difflib.get_close_matches(name, _NAMES, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"supported: {', '.join(sorted(_NAMES))}"
    return f"{what} {name!r} is not supported; {advice}"
