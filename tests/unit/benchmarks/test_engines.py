"""Reading the tables of the engines, and comparing them with the account."""

from __future__ import annotations

import pytest

from benchmarks.engines import json_row, text_row
from benchmarks.measure import MeasureError
from benchmarks.verify import refuse_wrong
from benchmarks.workers.job import HOPPING, KEYED_SUM


def test_rows_of_both_python_engines_are_read_alike() -> None:
    """The lane writes text keys, stock Faust JSON and windows as ranges in seconds."""
    assert text_row(KEYED_SUM, b"M0000001", b"[2,30]") == ("M0000001", (2, 30))
    assert json_row(KEYED_SUM, b'"M0000001"', b"[2,30]") == ("M0000001", (2, 30))
    assert text_row(HOPPING, b"M0000001/1767225620000", b"[2,30]") == ("M0000001/1767225620000", (2, 30))
    stock = b'["M0000001",[1767225620.0,1767225679.9]]'
    assert json_row(HOPPING, stock, b"[2,30]") == ("M0000001/1767225620000", (2, 30))


def test_rows_that_are_about_no_member_are_left_out() -> None:
    """The lane keeps offsets and a watermark among them."""
    assert text_row(KEYED_SUM, b"\x00next-offsets", b'{"bench.charges":3}') is None
    assert text_row(HOPPING, b"(watermark)", b"1767225620000") is None


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"a": (1, 2)}, "1 of 2 rows are wrong, and 0 rows should not be there"),
        ({"a": (1, 2), "b": (3, 5)}, "1 of 2 rows are wrong, and 0 rows should not be there"),
        ({"a": (1, 2), "b": (3, 4), "c": (1, 1)}, "0 of 2 rows are wrong, and 1 rows should not be there"),
    ],
    ids=["missing", "wrong", "strange"],
)
def test_a_table_that_differs_is_refused(table: dict[str, tuple[int, int]], reason: str) -> None:
    """A wrong result has no speed."""
    expected = {"a": (1, 2), "b": (3, 4)}
    refuse_wrong("sums", expected, expected)
    with pytest.raises(MeasureError, match=reason):
        refuse_wrong("sums", table, expected)
