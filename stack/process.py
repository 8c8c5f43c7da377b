"""Start, find and stop the child processes of the stack (Linux)."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_START_TIME_FIELD = 22  # of /proc/<pid>/stat, see proc(5)
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told apart from a later one that got the same pid.

    Attributes:
        pid: Process id.
        start_ticks: When it started, in clock ticks since boot: no change of the clock moves it.
    """

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of the process `pid`, or None where none is alive."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The command, field 2, may hold blanks and brackets: count from its closing one.
        fields = stat[stat.rindex(")") + 2 :].split()
        state, start_ticks = fields[0], int(fields[_START_TIME_FIELD - 3])
        return None if state in "ZX" else cls(pid=pid, start_ticks=start_ticks)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self


@dataclass(frozen=True, slots=True)
class PidFile:
    """Remembers a started process and the ports it was given, across commands."""

    path: Path

    def write(self, identity: Identity, ports: Sequence[int]) -> None:
        """Record `identity` and its ports, in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps({**asdict(identity), "ports": list(ports)}))
        draft.replace(self.path)

    def read(self) -> tuple[Identity, list[int]] | None:
        """Return the recorded process and ports if it still runs, else None."""
        try:
            record = json.loads(self.path.read_text())
            identity = Identity(pid=record["pid"], start_ticks=record["start_ticks"])
            ports = [int(port) for port in record["ports"]]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return (identity, ports) if identity.alive else None

    def remove(self) -> None:
        """Forget the process."""
        self.path.unlink(missing_ok=True)


def spawn(
    command: Sequence[str], *, folder: Path, log: Path, dies_with_parent: bool
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that Ctrl-C reaches only us.

    Args:
        command: Program and arguments.
        folder: Working folder.
        log: Gets its output; the log of the run before is kept as ``<log>.1``.
        dies_with_parent: Kill it when the calling *thread* ends, however that happens
            (prctl(2), PR_SET_PDEATHSIG): call from the main thread.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    parent = os.getpid()
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # One system call on a library loaded before the fork: safe beside other threads.
            preexec_fn=(lambda: _die_with(parent)) if dies_with_parent else None,  # noqa: PLW1509
        )


def _die_with(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def terminate(identity: Identity, *, grace_s: float) -> None:
    """End a process: ask, wait up to `grace_s` seconds, then kill; returns when it is gone."""
    try:
        process = psutil.Process(identity.pid)
        for end, patience_s in ((process.terminate, grace_s), (process.kill, 10.0)):
            if not identity.alive:
                return
            end()
            try:
                process.wait(patience_s)
            except psutil.TimeoutExpired:
                continue
            return
    except psutil.NoSuchProcess:
        return


def telling_line(log: Path) -> str:
    """Return the line of `log` that best says what went wrong: the last error, else the last line."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return "it wrote no log"
    marks = ("ERROR", "FATAL", "Exception", "Error:", "Caused by")
    errors = [line for line in lines if any(mark in line for mark in marks)]
    return (errors or lines or ["its log is empty"])[-1]


@contextmanager
def signals_held() -> Iterator[None]:
    """Deliver SIGINT and SIGTERM only after the block, so that no child starts unrecorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for held_number in held:
            signal.raise_signal(held_number)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM unwind the block as Ctrl-C does; a handler that is already set stays."""
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not ours:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
