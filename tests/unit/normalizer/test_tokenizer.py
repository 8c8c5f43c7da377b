"""Tolerance of the tokenizer, and what it still refuses."""

from __future__ import annotations

import pytest

from agents.normalizer.domain.claim_837p import normalise
from agents.normalizer.domain.errors import X12Error
from agents.normalizer.domain.tokenizer import tokenize
from tests.unit.normalizer.documents import BODY, ISA, document

PLAIN = normalise(document(*BODY), system="s", file="f")


def test_segments_carry_position_and_byte_offset() -> None:
    """Positions count from 1, and every offset is where the segment's id stands in the bytes."""
    raw = b"\xef\xbb\xbf\r\n" + document(*BODY)
    segments = list(tokenize(raw))
    assert [segment.position for segment in segments] == list(range(1, len(BODY) + 7))
    assert all(raw[s.offset_bytes :].startswith(s.id.encode()) for s in segments)


def test_offsets_count_bytes_not_characters() -> None:
    """A name with letters beyond ASCII does not shift the offsets after it."""
    raw = document(*BODY).replace(b"GOOD HEALTH", "SANTÉ À TOUS".encode())
    assert all(raw[s.offset_bytes :].startswith(s.id.encode()) for s in tokenize(raw))
    assert normalise(raw, system="s", file="f")[0].payer.name == "SANTÉ À TOUS"


def test_text_that_is_not_utf8_is_latin_1() -> None:
    """A file in ISO 8859-1 keeps its letters."""
    raw = document(*BODY).replace(b"GOOD HEALTH", "SANTÉ".encode("latin-1"))
    assert normalise(raw, system="s", file="f")[0].payer.name == "SANTÉ"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(document(*BODY, terminator="~"), id="no line ends"),
        pytest.param(document(*BODY, terminator="~\r\n"), id="CR LF after terminators"),
        pytest.param(document(*BODY, terminator="\n"), id="line feed as terminator"),
        pytest.param(document(*BODY, terminator="\r\n"), id="CR LF as terminator"),
        pytest.param(document(*BODY).rstrip(b"~\n"), id="last terminator missing"),
        pytest.param(b"\xef\xbb\xbf" + document(*BODY), id="byte order mark"),
        pytest.param(b"\r\n " + document(*BODY) + b"\n\n", id="blank space around"),
        pytest.param(document(*BODY).replace(b"          ", b" "), id="trimmed ISA elements"),
        pytest.param(document(*BODY).replace(b"SENDER   ", b"SENDER          "), id="padded ISA elements"),
        pytest.param(document(*BODY).translate(bytes.maketrans(b"*:~", b"|>\x1c")), id="other delimiters"),
    ],
)
def test_harmless_differences_change_nothing(raw: bytes) -> None:
    """Delimiters, line ends and padding do not matter: the claim is equal, down to its id."""
    assert normalise(raw, system="s", file="f") == PLAIN


def test_each_interchange_of_a_file_has_its_own_delimiters() -> None:
    """Two interchanges in one file are both read, each by the delimiters of its own ISA."""
    second = document(*BODY).translate(bytes.maketrans(b"*:~", b"|>'"))
    claims = normalise(document(*BODY) + second, system="s", file="f")
    assert [claim.source.segment_position for claim in claims] == [20, 20 + len(BODY) + 6]


@pytest.mark.parametrize(
    ("raw", "reason", "position"),
    [
        pytest.param(b"", "not_x12", 1, id="empty"),
        pytest.param(b"ISA", "not_x12", 1, id="ISA alone"),
        pytest.param(b"\xef\xbb\xbf \n", "not_x12", 1, id="blank"),
        pytest.param(document(*BODY)[:104], "not_x12", 1, id="cut inside the ISA"),
        pytest.param(document(*BODY, isa=ISA[:-1] + "X"), "not_x12", 1, id="letter as separator"),
        pytest.param(document(*BODY, isa=ISA[:-1] + "*"), "not_x12", 1, id="one separator for two"),
        pytest.param(document(*BODY).decode().encode("utf-16"), "not_x12", 1, id="UTF-16"),
        pytest.param(document(*BODY) + b"more", "unexpected_segment", len(BODY) + 7, id="text after the IEA"),
        pytest.param(document(*BODY).replace(b"MAIN", b"MA\nIN", 1), "bad_value", 10, id="line break inside"),
    ],
)
def test_what_cannot_be_cut_is_refused(raw: bytes, reason: str, position: int) -> None:
    """A file without a readable ISA, or with text between segments, names reason and position."""
    with pytest.raises(X12Error) as caught:
        normalise(raw, system="s", file="f")
    assert (caught.value.reason, caught.value.position) == (reason, position)
