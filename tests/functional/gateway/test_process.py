"""The gateway as a process: it ends in order, and an error is one line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleet.settings import Settings
from tests.support.stack import ROOT, environment

LIMIT_S = 30


@contextmanager
def running(settings: Settings, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``python -m gateway``; it is gone after the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT,
        env=environment(settings) | variables,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(settings: Settings, number: signal.Signals) -> None:
    """Exit code 0, the port is free again, and no traceback."""
    with running(settings) as process:
        assert process.stderr is not None
        assert f"gateway on http://127.0.0.1:{settings.gateway_port}" in process.stderr.readline()
        socket.create_connection((settings.host, settings.gateway_port), timeout=5).close()
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
        assert "gateway stopped" in process.stderr.read().splitlines()[-1]
    socket.create_server((settings.host, settings.gateway_port)).close()


def test_a_taken_port_is_one_line(settings: Settings) -> None:
    """The line names the port and the variable that changes it."""
    with socket.create_server((settings.host, settings.gateway_port)), running(settings) as process:
        _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert said == (
        f"eventfleet: port {settings.gateway_port} of the gateway is taken (Address already in use): "
        "free it, or set EVENTFLEET_GATEWAY_PORT to another port\n"
    )


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("EVENTFLEET_GATEWAY_PORT", "abc", r"EVENTFLEET_GATEWAY_PORT=abc: Input should be a valid integer"),
        ("EVENTFLEET_LOG_LEVEL", "LOUD", r"EVENTFLEET_LOG_LEVEL=LOUD: Input should be 'DEBUG', 'INFO'"),
    ],
)
def test_a_bad_setting_is_one_line(settings: Settings, variable: str, value: str, line: str) -> None:
    """The variable, its value, what it must be."""
    with running(settings, **{variable: value}) as process:
        _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert said.startswith(f"eventfleet: {line}")
    assert said.count("\n") == 1
