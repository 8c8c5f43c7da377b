"""Errors as people meet them."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import BaseModel, ValidationError

from fleet.cli.people import for_people, instant, printable
from fleet.errors import FatalError, TransientError
from fleet.settings import Settings

KAFKA_HINT = "see `eventfleet stack status`, or set EVENTFLEET_BOOTSTRAP_SERVERS"


def _ended(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    @for_people()
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        command()
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FatalError("topic x is missing", hint="create it"), "topic x is missing: create it"),
        (TransientError("no\nanswer"), "no answer"),
        (
            KafkaConnectionError("down"),
            f"Kafka does not answer (KafkaConnectionError: down): {KAFKA_HINT}",
        ),
    ],
)
def test_what_people_can_mend_is_one_line_and_exit_code_1(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, with what to do, whatever line breaks the cause had."""
    assert _ended(error, capsys) == (1, f"eventfleet: {line}\n")


def test_a_bad_setting_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """People set the variable, so that is what the line names."""
    monkeypatch.setenv("EVENTFLEET_SESSION_TIMEOUT_S", "soon")
    with pytest.raises(SystemExit) as end, for_people():
        Settings()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(
        "eventfleet: EVENTFLEET_SESSION_TIMEOUT_S=soon: Input should be"
    )


def test_ctrl_c_is_130_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """As the shell expects of a program that SIGINT ended."""
    assert _ended(KeyboardInterrupt(), capsys) == (130, "")


def test_a_bug_keeps_its_traceback() -> None:
    """What people cannot mend is not dressed up; neither is another model's bad data."""

    class Row(BaseModel):
        count: int

    with pytest.raises(ZeroDivisionError), for_people():
        raise ZeroDivisionError
    with pytest.raises(ValidationError), for_people():
        Row.model_validate({"count": "many"})


def test_control_characters_are_shown_not_obeyed() -> None:
    """A publisher's text cannot move the cursor, colour the terminal or break a line."""
    assert printable("a\x1b[2Jb\nc\x9bd\u202ee é") == r"a\x1b[2Jb\nc\x9bd\u202ee é"


def test_instants_are_utc() -> None:
    """Whatever the time zone of the machine."""
    assert instant(1_767_614_400_999) == "2026-01-05 12:00:00Z"
