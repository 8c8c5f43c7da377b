"""Keys of groups: one text for each group, the same in every process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson


def group_key(parts: Sequence[Any]) -> str:
    """Return the key of a group.

    Args:
        parts: Values of the parts of the group, as `fleet.cel` gives them, of types that its check lets pass.

    Returns:
        A JSON array: null, booleans, whole numbers and texts as they are; decimals as plain digits without
        trailing zeros, timestamps as RFC 3339 in UTC, bytes as hexadecimal digits, all of them texts.
    """
    return orjson.dumps([*map(_plain, parts)]).decode()


def _plain(part: Any) -> Any:
    if part is None or isinstance(part, str | bool):
        return part
    if isinstance(part, int):
        return int(part)
    if isinstance(part, Decimal):
        text = f"{part or Decimal(0):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(part, datetime):
        return part.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return bytes(part).hex()
