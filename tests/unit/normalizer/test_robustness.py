"""Whatever the bytes: claims or an X12Error, never another exception, never half a file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.normalizer.domain.claim import Claim
from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.domain.errors import X12Error
from agents.normalizer.samples import Sample, malformed, other_transactions, sample_837p
from tests.unit.normalizer.documents import BODY, document

CONTENTS = [s.content for s in (*sample_837p(), *other_transactions(), *malformed())] + [document(*BODY)]


def _outcome(raw: bytes) -> tuple[Claim, ...] | str:
    """Return the claims, or the error's reason; any other exception fails the test."""
    try:
        return normalise(raw, system="s", file="f")
    except X12Error as error:
        return error.reason


@pytest.mark.parametrize("sample", sample_837p(), ids=lambda sample: sample.name)
def test_a_truncated_file_is_refused(sample: Sample) -> None:
    """Cut anywhere before the end of its last control number, a file yields no claim."""
    whole = sample.content.rstrip(b"~\n\r ")
    cuts = [*range(0, len(whole), 50), len(whole) - 1]
    outcomes = [_outcome(whole[:cut]) for cut in cuts]
    assert all(isinstance(outcome, str) for outcome in outcomes)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused(raw: bytes) -> None:
    """Random bytes are never claims and never crash the parser."""
    assert isinstance(_outcome(raw), str)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_after_a_sound_header_are_refused(tail: bytes) -> None:
    """The same holds once the delimiters are known."""
    assert isinstance(_outcome(document(*BODY)[:110] + tail), str)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_mutated_file_gives_claims_or_an_error(data: st.DataObject) -> None:
    """A few bytes changed, dropped or doubled anywhere: an answer, and consistent charges if it loads."""
    raw = bytearray(data.draw(st.sampled_from(CONTENTS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        width = data.draw(st.integers(0, 3))
        raw[at : at + width] = data.draw(st.binary(max_size=3) | st.sampled_from([b"*", b"~", b":", b"\n"]))
        raw += b"" if raw else b"~"
    outcome = _outcome(bytes(raw))
    if not isinstance(outcome, str):
        assert outcome
        assert all(
            sum(line.charge for line in claim.service_lines) == claim.total_charge for claim in outcome
        )


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_shuffled_segments_give_claims_or_an_error(data: st.DataObject) -> None:
    """Segments dropped, doubled and moved inside a sound envelope: an answer, never a crash."""
    body = data.draw(st.lists(st.sampled_from(BODY), max_size=40) | st.permutations(BODY))
    outcome = _outcome(document(*body))
    assert isinstance(outcome, str) or len(outcome) == sum(segment.startswith("CLM") for segment in body)
