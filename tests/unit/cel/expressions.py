"""Random expressions over the events of `tests.unit.cel.events`, right or wrong."""

from __future__ import annotations

from hypothesis import strategies as st

SCALARS = ["count", "score", "name", "raw", "flag", "amount", "at", "local", "day", "clock", "id", "digest"]
PATHS = [
    *(f"event.{name}" for name in SCALARS),
    *(f"event.{name}" for name in ("status", "note", "codes", "numbers", "tags", "customer", "lines")),
    *("event.customer.name", "event.customer.status", "event.tags['a']", "event.codes[0]"),
    *("event.lines[0].price", "attributes.id", "1", "2.5", "1u", "'a'", "'OPEN'", "true", "null", "b'a'"),
    *("[1, 2]", "['a']", "{'a': 1}", "timestamp('2026-01-31T00:00:00Z')", "duration('1h')"),
    "decimal('1.50')",
]
CALLS = ["size({})", "string({})", "int({})", "{}.startsWith({})", "{}.lowerAscii()", "round({}, 1)"]
MACROS = ["{}.exists(x, x == {})", "{}.all(x, {} != x)", "{}.map(x, x + {})", "{}.filter(x, x != {})"]
SYMBOLS = ["==", "!=", "<", ">=", "+", "-", "*", "/", "%", "in", "&&", "||"]
OTHERS = ["!{}", "({} ? {} : {})", "-{}", "{}[{}]", "[{}, {}]"]
TEMPLATES = [*(f"({{}} {symbol} {{}})" for symbol in SYMBOLS * 2), *CALLS, *MACROS, *OTHERS]
texts = st.recursive(
    st.sampled_from(PATHS),
    lambda inner: st.builds(
        lambda template, *parts: template.format(*parts), st.sampled_from(TEMPLATES), inner, inner, inner
    ),
    max_leaves=6,
)
comparisons = st.builds(
    lambda template, *parts: template.format(*parts),
    st.sampled_from([f"({{}} {symbol} {{}})" for symbol in ("==", "!=", "<", ">=", "in")]),
    texts,
    texts,
)
SIMPLE = ["event.flag", "true", "has(event.note)", "event.codes.exists(x, x == 'a')"]
JOINED = ["({} && {})", "({} || {})", "!{}", "({} ? {} : {})", "event.numbers.all(n, {} || n > 1)"]
conditions = st.recursive(
    comparisons | st.sampled_from(SIMPLE),
    lambda inner: st.builds(
        lambda template, *parts: template.format(*parts), st.sampled_from(JOINED), inner, inner, inner
    ),
    max_leaves=5,
)
