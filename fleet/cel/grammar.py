"""Parsing with cel-python's grammar, and its syntax errors in words for people."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from celpy.celparser import CELParseError, CELParser
from lark import Token, UnexpectedCharacters, UnexpectedToken

from fleet.cel.errors import ExpressionError, refused

if TYPE_CHECKING:
    from collections.abc import Collection

    from lark import Tree

_VALUES: Final = frozenset({"IDENT", "INT_LIT", "STRING_LIT"})
_OPERATORS: Final = frozenset({"PLUS", "STAR", "LESSTHAN"})
_SINGLE: Final = {"RPAR": "')'", "RSQB": "']'", "RBRACE": "'}'", "COLON": "':'", "COMMA": "','"}
_WORDS: Final = {
    "and": "&&",
    "AND": "&&",
    "or": "||",
    "OR": "||",
    "not": "!",
    "NOT": "!",
    "is": "==",
}
_CHARACTERS: Final = {
    "=": "to compare, write ==",
    "&": "for and, write &&",
    "|": "for or, write ||",
    '"': "the string is not closed",
    "'": "the string is not closed",
}


class _Parser(CELParser):
    """The library's parser, with the positions of ``true`` and ``false``, which it drops."""

    @staticmethod
    def ambiguous_literals(t: Token) -> Token:
        return t.update(type="BOOL_LIT") if t.value in {"true", "false"} else t


@cache
def _parser() -> CELParser:
    CELParser.CEL_PARSER = None  # The library keeps one for all, with the callbacks of whoever came first.
    return _Parser()


def parse_tree(text: str) -> Tree[Token]:
    """Return the parse tree of `text`, with positions.

    Raises:
        ExpressionError: The text does not follow the grammar; with line, column and what was expected.
    """
    try:
        return _parser().parse(text)
    except CELParseError as error:
        raise _explained(text, error) from None


def _explained(text: str, error: CELParseError) -> ExpressionError:
    cause = error.__context__
    if isinstance(cause, UnexpectedCharacters):
        detail = f"unexpected {cause.char!r}"
        hint = _CHARACTERS.get(cause.char)
        return refused(f"{detail}; {hint}" if hint else detail, cause.line, cause.column)
    if isinstance(cause, UnexpectedToken):
        return _unexpected(text, cause)
    return refused("not a valid expression", error.line or 1, error.column or 1)


def _unexpected(text: str, cause: UnexpectedToken) -> ExpressionError:
    expected = _expected(cause.accepts or cause.expected)
    if cause.token.type == "$END":
        body = text.rstrip()
        line = body.count("\n") + 1
        column = len(body) - (body.rfind("\n") + 1) + 1
        return refused(f"unexpected end of the condition; expected {expected}", line, column)
    word = _WORDS.get(str(cause.token))
    advice = f"write {word}" if word else f"expected {expected}"
    return refused(f"unexpected {str(cause.token)!r}; {advice}", cause.line, cause.column)


def _expected(terminals: Collection[str]) -> str:
    found = set(terminals)
    if found == {"IDENT"}:
        return "a name"
    parts = ["a value"] if found >= _VALUES else []
    parts += ["an operator"] if found >= _OPERATORS else []
    parts += [text for terminal, text in _SINGLE.items() if terminal in found]
    parts += ["the end"] if "$END" in found or not parts else []
    return " or ".join(parts)
