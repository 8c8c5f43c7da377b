"""The envelopes guard against loss: control numbers, counts and trailers."""

from __future__ import annotations

import pytest

from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.domain.errors import X12Error
from tests.unit.normalizer.documents import BODY, document, edited


@pytest.mark.parametrize(
    ("raw", "reason", "segment", "position"),
    [
        pytest.param(
            edited("IEA*1*000000007", "IEA*1*000000008"), "control_number_mismatch", "IEA", -1, id="IEA02"
        ),
        pytest.param(edited("GE*1*3", "GE*1*4"), "control_number_mismatch", "GE", -2, id="GE02"),
        pytest.param(edited("28*0001~", "28*0002~"), "control_number_mismatch", "SE", -3, id="SE02"),
        pytest.param(edited("SE*28*", "SE*35*"), "segment_count_mismatch", "SE", -3, id="SE01"),
        pytest.param(edited("GE*1*3", "GE*2*3"), "transaction_count_mismatch", "GE", -2, id="GE01"),
        pytest.param(edited("IEA*1*", "IEA*2*"), "group_count_mismatch", "IEA", -1, id="IEA01"),
        pytest.param(edited("SE*28*", "SE*many*"), "bad_value", "SE", -3, id="SE01 is no number"),
        pytest.param(edited("GE*1*3", "GE*1"), "bad_value", "GE", -2, id="GE02 is empty"),
        pytest.param(edited("SE*28*0001~\n", ""), "missing_segment", "LIN", -3, id="no SE"),
        pytest.param(edited("GE*1*3~\n", ""), "missing_segment", "SE", -2, id="no GE"),
        pytest.param(edited("IEA*1*000000007~\n", ""), "missing_segment", "GE", -1, id="no IEA"),
    ],
)
def test_a_damaged_envelope_is_refused(raw: bytes, reason: str, segment: str, position: int) -> None:
    """Each damage has its own reason, at the segment where it shows (positions from the end)."""
    with pytest.raises(X12Error) as caught:
        normalise(raw, system="s", file="f")
    segments = len(raw.strip().split(b"\n"))
    assert (caught.value.reason, caught.value.segment) == (reason, segment)
    assert caught.value.position == segments + 1 + position


def test_a_wrong_count_says_both_figures() -> None:
    """The message names segment, position, the count claimed and the count found."""
    with pytest.raises(X12Error) as caught:
        normalise(edited("SE*28*", "SE*35*"), system="s", file="f")
    assert str(caught.value) == "SE at segment 30: SE01 says 35 segments, 28 found"


def test_one_damaged_transaction_refuses_the_file() -> None:
    """A file is all or nothing: the sound claims of a damaged file are not loaded."""
    sound = document(*BODY)
    with pytest.raises(X12Error, match="SE01 says 35"):
        normalise(sound + edited("SE*28*", "SE*35*"), system="s", file="f")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("*005010X222A1~\nST", "*004010X098A1~\nST", "unsupported_version"),
        ("*005010X222A1~\nST", "*005010X223A2~\nST", "unsupported_transaction_set"),
        ("ST*837*", "ST*835*", "unsupported_transaction_set"),
        ("GS*HC*", "GS*HP*", "bad_value"),
        ("0001*005010X222A1", "0001*005010X222", "bad_value"),
        ("*0*P*:", "*0*Q*:", "bad_value"),
    ],
)
def test_what_the_mapping_does_not_read_is_refused(old: str, new: str, reason: str) -> None:
    """Another version, transaction set or group is refused rather than guessed at."""
    with pytest.raises(X12Error) as caught:
        normalise(edited(old, new), system="s", file="f")
    assert caught.value.reason == reason


def test_an_acknowledgement_in_the_interchange_is_passed_over() -> None:
    """A TA1 before the first group is allowed by the standard, and carries no claim."""
    raw = edited("GS*HC*", "TA1*000000001*260105*1200*A*000~\nGS*HC*")
    assert len(normalise(raw, system="s", file="f")) == 1


def test_a_stray_segment_between_envelopes_is_unknown_there() -> None:
    """A segment outside any transaction is refused at its place."""
    with pytest.raises(X12Error) as caught:
        normalise(edited("ST*837*", "HL*1**20*1~\nST*837*"), system="s", file="f")
    assert (caught.value.reason, caught.value.segment, caught.value.position) == ("unknown_segment", "HL", 3)


def test_an_error_never_shows_what_an_element_holds() -> None:
    """Text that is no segment id, which may be a patient's name, is masked in the error."""
    with pytest.raises(X12Error) as caught:
        normalise(edited("HL*2*1*22*0", "JANE ROE*2*1*22*0"), system="s", file="f")
    assert (caught.value.reason, caught.value.segment) == ("unknown_segment", "?")
    assert "JANE" not in str(caught.value)
