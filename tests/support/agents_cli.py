"""The command line as a process of its own, to be waited for or interrupted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Final

from fleet.settings import Settings
from tests.support.stack import ROOT, environment

LIMIT_S: Final = 60.0


def eventfleet(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    """Start the command line as a person does; the caller waits for it or signals it."""
    return subprocess.Popen(
        [sys.executable, "-c", "from fleet.cli import main; main()", *arguments],
        cwd=ROOT,
        env=environment(settings) | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


async def said(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and all it said."""
    process = eventfleet(settings, *arguments)
    out, err = await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
    return process.returncode, out + err
