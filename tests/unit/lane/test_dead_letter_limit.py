"""The limit on dead letters: the share of the last records, wherever chunks are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.lane.dead_letter_limit import DeadLetterLimit, DeadLetterWatch, TooManyDeadLetters
from fleet.lane.effects import DeadLetter
from tests.support.lane_fakes import SourceRecord

LIMIT = DeadLetterLimit(share=0.5, records=10)


def first_refused(poison: list[bool], cuts: set[int], limit: DeadLetterLimit = LIMIT) -> int | None:
    """Return the chunk's end, as an offset, at which the watch first refuses; None where it never does."""
    watch = DeadLetterWatch(limit)
    ends = sorted({*cuts, len(poison)} - {0})
    begin = 0
    for end in ends:
        chunk = [SourceRecord(b"", offset) for offset in range(begin, end)]
        letters = [DeadLetter(record, "bad", "parse") for record in chunk if poison[record.offset]]
        try:
            watch.check(chunk, letters)
        except TooManyDeadLetters:
            return end
        watch.committed(chunk, letters)
        begin = end
    return None


def over(poison: list[bool]) -> int | None:
    """Return the first offset at which more than half of the last ten are poison, counted plainly."""
    return next(
        (at for at in range(len(poison)) if sum(poison[max(0, at - 9) : at + 1]) > 5 and poison[at]), None
    )


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.sets(st.integers(1, 59)))
def test_the_chunk_with_the_first_record_too_many_is_refused(poison: list[bool], cuts: set[int]) -> None:
    """However records are cut into chunks, the same record is the one too many."""
    cuts = {cut for cut in cuts if cut < len(poison)}
    at = over(poison)
    wanted = None if at is None else min(end for end in {*cuts, len(poison)} if end > at)
    assert first_refused(poison, cuts) == wanted


def test_a_refused_chunk_is_not_counted() -> None:
    """Tried again with fewer dead letters, it passes."""
    watch = DeadLetterWatch(LIMIT)
    chunk = [SourceRecord(b"", offset) for offset in range(20)]
    letters = [DeadLetter(record, "bad", "parse") for record in chunk]
    for _ in range(2):
        with pytest.raises(TooManyDeadLetters):
            watch.check(chunk, letters)
    watch.check(chunk, letters[:5])


def test_it_names_the_most_frequent_kind_and_what_to_do() -> None:
    """The line, and the cause for the metric, tell what the records have in common."""
    chunk = [SourceRecord(b"", offset) for offset in range(6)]
    reasons = ["odd", "not_avro", "not_avro", "odd", "not_avro", "not_avro"]
    letters = [DeadLetter(record, reason, "decode") for record, reason in zip(chunk, reasons, strict=True)]
    with pytest.raises(TooManyDeadLetters) as caught:
        DeadLetterWatch(LIMIT).check(chunk, letters)
    assert str(caught.value).startswith(
        "6 of the last 10 records would be dead letters, most by not_avro in step decode: mend"
    )
    assert caught.value.cause == "dead_letters/decode/not_avro"


def test_several_letters_of_one_record_count_once() -> None:
    """A record whose outputs were all refused is one bad record."""
    chunk = [SourceRecord(b"", offset) for offset in range(3)]
    letters = [DeadLetter(record, "record_too_large", "produce") for record in chunk for _ in range(5)]
    DeadLetterWatch(LIMIT).check(chunk, letters)


@pytest.mark.parametrize("limit", [None, DeadLetterLimit(share=1.0, records=10)])
def test_without_a_limit_every_record_may_be_a_dead_letter(limit: DeadLetterLimit | None) -> None:
    """None, or the whole share, never halts."""
    watch = DeadLetterWatch(limit)
    for begin in (0, 20, 40):
        chunk = [SourceRecord(b"", offset) for offset in range(begin, begin + 20)]
        letters = [DeadLetter(record, "bad", "parse") for record in chunk]
        watch.check(chunk, letters)
        watch.committed(chunk, letters)
