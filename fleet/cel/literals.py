"""Constants of the language, from the text of their tokens.

Escapes follow the language definition, "String and Bytes Values":
https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from fleet.cel.errors import refused
from fleet.cel.nodes import Literal, Position, Uint

if TYPE_CHECKING:
    from lark import Token

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1

_ESCAPE: Final = re.compile(
    r"\\(?:[xX](?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<simple>[\s\S]?))"
)
_SIMPLE: Final = dict(zip("abfnrtv\\'\"?`", "\a\b\f\n\r\t\v\\'\"?`", strict=True))
_SURROGATES: Final = range(0xD800, 0xE000)
_UNICODE_END: Final = 0x110000


def position_of(token: Token) -> Position:
    """Return where `token` is."""
    return Position(token.line or 1, token.column or 1, token.start_pos or 0, token.end_pos or 0)


def literal(token: Token) -> Literal:
    """Return the constant that `token` writes.

    Raises:
        ExpressionError: A number is out of range, or a string holds an unknown escape.
    """
    at = position_of(token)
    match token.type:
        case "BOOL_LIT":
            return Literal(at, str(token) == "true")
        case "NULL_LIT":
            return Literal(at, None)
        case "STRING_LIT" | "MLSTRING_LIT":
            return Literal(at, _string(token, at))
        case "BYTES_LIT":
            return Literal(at, _bytes(token, at))
        case _:
            return number(str(token), at)


def number(text: str, at: Position) -> Literal:
    """Return the int, uint or double that `text` writes, with its exact decimal.

    Raises:
        ExpressionError: It does not fit into 64 bits.
    """
    unsigned = text[-1] in "uU"
    digits = text[:-1] if unsigned else text
    if unsigned or "x" in digits or digits.lstrip("-").isdigit():
        value = int(digits, 16 if "x" in digits else 10)
        low, high = (0, UINT_MAX) if unsigned else (INT_MIN, INT_MAX)
        if not low <= value <= high:
            raise refused(f"number out of range: {text} does not fit into 64 bits", at.line, at.column)
        return Literal(at, Uint(value) if unsigned else value, Decimal(value))
    if math.isinf(float(digits)):
        raise refused(f"number out of range: {text} does not fit into a double", at.line, at.column)
    return Literal(at, float(digits), Decimal(digits))


def negated(operand: Literal, at: Position) -> Literal:
    """Return the constant ``-operand`` of an int or double, so that ``-1.5`` stays exact beside decimals."""
    value = cast("float", operand.value)
    return Literal(at, -value, None if operand.decimal is None else -operand.decimal)


def _body(text: str) -> tuple[str, bool]:
    raw = text[0] in "rR"
    text = text[1:] if raw else text
    quotes = 3 if text[:3] in {'"""', "'''"} else 1
    return text[quotes:-quotes], raw


def _string(text: str, at: Position) -> str:
    body, raw = _body(text)
    return body if raw else _ESCAPE.sub(lambda escape: _character(escape, at), body)


def _bytes(text: str, at: Position) -> bytes:
    text = text[1:]
    body, raw = _body(text)
    if raw:
        return body.encode()
    parts, end = bytearray(), 0
    for escape in _ESCAPE.finditer(body):
        parts += body[end : escape.start()].encode()
        end = escape.end()
        if escape["short"] or escape["long"]:
            raise refused(
                f"escape {escape[0]} is not allowed in bytes; write the bytes as \\xHH", at.line, at.column
            )
        parts.append(ord(_character(escape, at)))
    return bytes(parts + body[end:].encode())


def _character(escape: re.Match[str], at: Position) -> str:
    if escape["simple"] is not None:
        found = _SIMPLE.get(escape["simple"])
        if found is None:
            raise refused(f"unknown escape {escape[0]}; a backslash is written \\\\", at.line, at.column)
        return found
    digits = escape["byte"] or escape["short"] or escape["long"]
    code = int(digits, 16) if digits else int(escape["octal"], 8)
    if code in _SURROGATES or code >= _UNICODE_END:
        raise refused(f"escape {escape[0]} is not a Unicode character", at.line, at.column)
    return chr(code)
