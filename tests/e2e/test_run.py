"""``eventfleet run`` as a person runs it: everything starts, adds up, and is gone at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from fleet.settings import Settings
from tests.support.agents_cli import eventfleet
from tests.support.stack import free_ports, isolated_settings, parts_dir

CLAIMS = 400
RUN_LIMIT_S = 120.0
STOP_LIMIT_S = 60.0
WORKER_PORTS = ("gateway_port", "router_port", "aggregator_port", "normalizer_port")
SAMPLES = 16
BAD_SAMPLES = {
    "unsupported_transaction_set": 12,
    "not_x12": 2,
    "control_number_mismatch": 1,
    "missing_segment": 1,
    "unknown_segment": 1,
}

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a fresh machine that has the downloads: free ports, no data."""
    folder = tmp_path_factory.mktemp("run")
    parts_dir().mkdir(parents=True, exist_ok=True)  # the first test of a fresh clone fetches into it
    (folder / "parts").symlink_to(parts_dir())
    ports = dict(zip(WORKER_PORTS, free_ports(len(WORKER_PORTS)), strict=True))
    return isolated_settings(folder).model_copy(update=ports)


def left_over(config: Settings) -> list[str]:
    """Return the processes that were started with these settings and still live."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("EVENTFLEET_DATA_DIR") == str(config.data_dir)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()[:4]))
        except psutil.Error:
            continue
    return found


def run_once(config: Settings, summary: Path) -> dict[str, Any]:
    """Run to the end; return the figures, which must reconcile."""
    command = eventfleet(config, "run", "--once", "--claims", str(CLAIMS), "--summary", str(summary))
    out, err = command.communicate(timeout=RUN_LIMIT_S)
    assert command.returncode == 0, out[-3000:] + err[-3000:]
    assert left_over(config) == []
    figures: dict[str, Any] = orjson.loads(summary.read_bytes())
    assert figures["reconciled"] is True
    assert all(check["holds"] for check in figures["checks"])
    return figures


def test_it_adds_up_twice(config: Settings, tmp_path: Path) -> None:
    """The first run loads all; the second, on the same data, finds the old samples late, and reconciles."""
    first = run_once(config, tmp_path / "new" / "first.json")
    assert (first["claims"], first["canonical"]) == (CLAIMS + SAMPLES, CLAIMS + SAMPLES)
    letters = {each["reason"]: each["count"] for each in first["dead_letters"]}
    assert first["late"] <= SAMPLES
    assert letters == BAD_SAMPLES
    assert {each["agent"] for each in first["dead_letters"]} == {"normalizer"}
    assert first["files"] == SAMPLES + sum(BAD_SAMPLES.values()) + CLAIMS // 100
    assert 0 < first["unmatched"] < first["canonical"]
    assert set(first["routed"]) == {
        "analytics.claims",
        "finance.high-value-claims",
        "fraud.watchlist-claims",
    }
    charges = [Decimal(row["charges"]) for row in first["top_providers"]]
    assert charges == sorted(charges, reverse=True)
    second = run_once(config, tmp_path / "second.json")
    assert 0 < second["late"] <= SAMPLES
    same = ("files", "claims", "canonical", "charges", "dead_letters", "routed", "unmatched")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}


def interrupted(config: Settings, line: str) -> tuple[int, str]:
    """Run until a line is printed, press Ctrl-C; return the exit code and all that was said."""
    command = eventfleet(config, "run", "--claims", "50")
    guard = threading.Timer(RUN_LIMIT_S, command.kill)
    guard.start()
    try:
        assert command.stdout is not None
        said = ""
        while line not in said:
            more = command.stdout.readline()
            assert more, said[-3000:]
            said += more
        assert len(left_over(config)) > 1
        os.kill(command.pid, signal.SIGINT)
        out, err = command.communicate(timeout=STOP_LIMIT_S)
    finally:
        guard.cancel()
        if command.poll() is None:
            command.kill()
    return command.returncode, said + out + err


@pytest.mark.parametrize("line", ["Topics and schemas ready", "Look further"], ids=["starting", "staying"])
def test_ctrl_c_ends_everything(line: str, config: Settings) -> None:
    """While it starts or while it stays: no process is left, and no traceback is shown."""
    code, said = interrupted(config, line)
    assert code in (0, 130)
    assert "Traceback" not in said
    assert left_over(config) == []


@pytest.mark.parametrize("setting", ["router_port", "gateway_port"])
def test_a_taken_port_is_one_line(setting: str, config: Settings) -> None:
    """It names the port and the variable that changes it, before anything is started."""
    number = getattr(config, setting)
    with socket.create_server((config.host, number)):
        code, out, err = finished(config)
    assert code == 1
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith(f"eventfleet: Port {number} ({setting.removesuffix('_port')}) is taken by process ")
    assert f"set EVENTFLEET_{setting.upper()} to another port" in err
    assert left_over(config) == []


def test_two_parts_on_one_port_are_one_line(config: Settings) -> None:
    """It names both variables."""
    code, _, err = finished(config.model_copy(update={"router_port": config.gateway_port}))
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "EVENTFLEET_ROUTER_PORT and EVENTFLEET_GATEWAY_PORT are both" in err


def finished(config: Settings) -> tuple[int, str, str]:
    """Run a command that ends by itself; return exit code, stdout and stderr."""
    command: subprocess.Popen[str] = eventfleet(config, "run", "--once", "--claims", "1")
    out, err = command.communicate(timeout=RUN_LIMIT_S)
    return command.returncode, out, err
