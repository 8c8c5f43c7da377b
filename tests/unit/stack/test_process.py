"""Processes of the stack: told apart, found again, ended."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack.process import (
    Identity,
    PidFile,
    signals_held,
    sigterm_interrupts,
    spawn,
    telling_line,
    terminate,
)

_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); input()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A child that ignores SIGTERM, once it does so; gone after the test."""
    command = [sys.executable, "-c", _STUBBORN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "deaf\n"
        yield process
        process.kill()


def test_this_process_is_alive() -> None:
    """A process finds itself by its own identity."""
    identity = Identity.of(os.getpid())
    assert identity is not None
    assert identity.alive


def test_a_recycled_pid_is_another_process() -> None:
    """The same pid with another start time is not the process that was recorded."""
    identity = Identity.of(os.getpid())
    assert identity is not None
    assert not dataclasses.replace(identity, start_ticks=identity.start_ticks - 1).alive


def test_an_ended_child_that_nobody_waited_for_is_not_alive(child: subprocess.Popen[str]) -> None:
    """A zombie keeps its pid but does no work."""
    identity = Identity.of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identity is not None
    assert not identity.alive


def test_a_pid_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """Process and ports survive the way through the file, until it is removed."""
    file = PidFile(tmp_path / "run" / "kafka.json")
    identity = Identity.of(os.getpid())
    assert identity is not None
    file.write(identity, [29092, 29093])
    assert file.read() == (identity, [29092, 29093])
    file.remove()
    assert file.read() is None


@pytest.mark.parametrize(
    "content",
    ["", "not json", "[]", "{}", '{"pid": 1}', json.dumps({"pid": 2**22 + 1, "start_ticks": 1, "ports": []})],
)
def test_a_broken_or_stale_pid_file_means_nothing_runs(tmp_path: Path, content: str) -> None:
    """What cannot be read, or names no live process, is as good as no file."""
    (tmp_path / "kafka.json").write_text(content)
    assert PidFile(tmp_path / "kafka.json").read() is None


def test_what_does_not_end_by_itself_is_killed(child: subprocess.Popen[str]) -> None:
    """A process that ignores SIGTERM is gone when the call returns."""
    identity = Identity.of(child.pid)
    assert identity is not None
    terminate(identity, grace_s=0.1)
    assert not psutil.pid_exists(child.pid)


def test_a_stranger_with_the_same_pid_is_left_alone(child: subprocess.Popen[str]) -> None:
    """Nothing is ended whose start time is not the recorded one."""
    identity = Identity.of(child.pid)
    assert identity is not None
    terminate(dataclasses.replace(identity, start_ticks=1), grace_s=0.1)
    assert child.poll() is None


def test_a_spawned_process_has_its_own_session_and_log(tmp_path: Path) -> None:
    """Output goes to the log, the log of the run before is kept, Ctrl-C would not reach the child."""
    log = tmp_path / "part.log"
    log.write_text("the run before")
    command = [sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"]
    with spawn(command, folder=tmp_path, log=log, dies_with_parent=True) as process:
        assert process.wait(30) == 0
    assert log.read_text() == "True\n"
    assert (tmp_path / "part.log.1").read_text() == "the run before"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("INFO fine\nERROR disk full\nINFO Shutdown completed\n", "ERROR disk full"),
        ("starting\nstill starting\n\n", "still starting"),
        ("", "its log is empty"),
    ],
)
def test_the_telling_line_of_a_log(tmp_path: Path, content: str, line: str) -> None:
    """The last error is what a person needs; without one, the last line."""
    (tmp_path / "part.log").write_text(content)
    assert telling_line(tmp_path / "part.log") == line


def test_no_log_is_said(tmp_path: Path) -> None:
    """A part that died before it wrote anything is told as that."""
    assert telling_line(tmp_path / "none.log") == "it wrote no log"


def test_signals_wait_for_the_end_of_the_block() -> None:
    """Ctrl-C inside the block takes effect after it, so the block is done whole."""
    done = []

    def record() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGINT)
            done.append("recorded")

    with pytest.raises(KeyboardInterrupt):
        record()
    assert done == ["recorded"]


@pytest.fixture
def sigterm_by_default() -> Iterator[None]:
    """SIGTERM as a fresh process has it, whatever the shared stack of this session set."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm_by_default")
def test_sigterm_unwinds_the_block_and_is_restored() -> None:
    """Inside, SIGTERM raises as Ctrl-C does; after, it is what it was."""
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
