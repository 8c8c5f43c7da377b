"""The Kafka of the fault tests: a broker that can be killed and stopped, and a controller that outlives it.

Broker and controller are processes of their own, as where Eventfleet is deployed. In one process (as
the embedded stack has them) a broker that is killed comes back before its controller has noticed,
leads on by what it knew, and then has no leader for a moment: Kafka 4.3.1 takes partitions without a
leader for deleted ones, ends a transaction without a marker in them, and the next transaction of
the same id shows the records that were rolled back.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from stack.broker import _command, server_properties
from stack.fetch import KAFKA, fetch
from stack.kafka_admin import broker_answers
from stack.paths import StackPaths
from stack.ports import Port, port_open
from stack.process import PidFile
from stack.service import Service
from tests.support.stack import parts_dir

if TYPE_CHECKING:
    from typing import Self

    from fleet.settings import Settings

KILLED_WITHIN_S = 10.0
SESSION_S = 9.0
"""Kafka's default: the controller takes a silent broker for gone after so long."""

CONTROLLER_ID = 2


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker process after the other, on the same port and the same data.

    As a context manager it is up within the block and gone after it, however that ends.
    """

    controller: Service
    service: Service

    @classmethod
    def of(cls, settings: Settings, more: Mapping[str, object] | None = None) -> Broker:
        """Return the broker of these settings, not started; `more` is for its and its controller's file."""
        parts = StackPaths.of(settings, parts_dir()).parts
        fetch(KAFKA, parts, print)
        client = Port(settings.host, settings.kafka_port, "EVENTFLEET_KAFKA_PORT", "Kafka")
        quorum = Port(
            settings.host, settings.kafka_controller_port, "EVENTFLEET_KAFKA_CONTROLLER_PORT", "controller"
        )
        voters = {"controller.quorum.voters": f"{CONTROLLER_ID}@{quorum}", **(more or {})}
        roles: dict[Port, dict[str, object]] = {
            quorum: {
                "process.roles": "controller",
                "node.id": CONTROLLER_ID,
                "listeners": f"CONTROLLER://{quorum}",
                "advertised.listeners": f"CONTROLLER://{quorum}",
            },
            client: {"process.roles": "broker", "listeners": f"PLAINTEXT://{client}"},
        }
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        controller, broker = (
            _node(settings, parts, port, {**own, **voters}, cluster_id) for port, own in roles.items()
        )
        return cls(controller, broker)

    def __enter__(self) -> Self:
        self.controller.up(owned=True, say=print)
        self.service.up(owned=True, say=print)
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.service.stop()
        self.controller.stop()

    def kill(self) -> None:
        """Kill it outright."""
        if (running := self.service.identity) is not None:
            process = psutil.Process(running.pid)
            process.kill()
            process.wait(KILLED_WITHIN_S)

    async def started_again(self) -> None:
        """Start it once its controller takes it for gone, and wait until it does its work."""
        await asyncio.sleep(SESSION_S + 2)
        self.service.prepare()
        # In this thread, whose end ends the broker too.
        self.service._start(owned=True)
        await asyncio.to_thread(self.service.up, owned=True, say=print)

    async def paused(self, seconds: float) -> None:
        """Let it stand still for a while: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.resume()

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if (running := self.service.identity) is not None:
            os.kill(running.pid, number)


def _node(settings: Settings, parts: Path, port: Port, own: Mapping[str, object], cluster_id: str) -> Service:
    role = str(own["process.roles"])
    folder = settings.data_dir.absolute() / role

    def prepare() -> None:
        if (folder / "server.properties").exists():
            return
        # Of two lines for a property the last one counts.
        added = "".join(f"{name}={value}\n" for name, value in own.items())
        (folder / "server.properties").write_text(server_properties(settings) + added)
        formatting = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}"]
        command = [*_command(parts)[:-2], *formatting, "--config=server.properties"]
        subprocess.run(command, cwd=folder, capture_output=True, check=True)

    return Service(
        title=f"{KAFKA.label} ({role})",
        ports=(port,),
        folder=folder,
        pid_file=PidFile(folder / "pid.json"),
        log=folder / "kafka.log",
        prepare=prepare,
        command=lambda: _command(parts),
        is_ready=lambda: port_open(port) and (role == "controller" or broker_answers(str(port))),
    )
