"""The embedded broker: Apache Kafka, one node, KRaft."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

from fleet.errors import FatalError
from stack.fetch import KAFKA, PINS, kafka_classpath
from stack.java import java
from stack.kafka_admin import broker_answers
from stack.ports import Port, port_open
from stack.process import PidFile
from stack.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from fleet.settings import Settings
    from stack.paths import StackPaths

MAX_MESSAGE_BYTES = 10 * 1024 * 1024
_WIPE = "run `eventfleet stack down --wipe` (it removes the local topics)"
_LOGS = "data"
_MARKER = "kafka-version"


def broker_service(settings: Settings, paths: StackPaths) -> Service:
    """Describe the broker of `settings` as a service."""
    client = Port(settings.host, settings.kafka_port, "EVENTFLEET_KAFKA_PORT", "Kafka")
    controller = Port(
        settings.host,
        settings.kafka_controller_port,
        "EVENTFLEET_KAFKA_CONTROLLER_PORT",
        "Kafka controller",
    )
    return Service(
        title=KAFKA.label,
        ports=(client, controller),
        folder=paths.kafka,
        pid_file=PidFile(paths.run / "kafka.json"),
        log=paths.logs / "kafka.log",
        prepare=lambda: _prepare(settings, paths),
        command=lambda: _command(paths.parts),
        is_ready=lambda: port_open(client) and broker_answers(str(client)),
    )


def server_properties(settings: Settings) -> str:
    """Render the configuration of a broker that runs in its own folder.

    Internal topics are small and single: one node holds them all. Time-outs are short so
    that a killed worker's partitions and transactions are free again within seconds.
    """
    client, controller = (
        f"{settings.host}:{port}" for port in (settings.kafka_port, settings.kafka_controller_port)
    )
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{client}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": _LOGS,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _command(parts: Path) -> list[str]:
    return [
        str(java()),
        "-Xms256m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its indexes with it: no warning at each start
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={PINS / 'log4j2.yaml'}",
        "-cp",
        kafka_classpath(parts),
        "kafka.Kafka",
        "server.properties",
    ]


def _prepare(settings: Settings, paths: StackPaths) -> None:
    (paths.kafka / "server.properties").write_text(server_properties(settings))
    marker = paths.kafka / _MARKER
    if not (paths.kafka / _LOGS).exists():
        _format(paths)
        marker.write_text(KAFKA.version)
    check_data(paths.kafka)


def check_data(folder: Path) -> None:
    """Check that the broker's folder was formatted, whole, by the version that will run.

    Raises:
        FatalError: It was not; starting on it could lose or hide data.
    """
    marker, meta = folder / _MARKER, folder / _LOGS / "meta.properties"
    if not marker.is_file() or "cluster.id=" not in (meta.read_text() if meta.is_file() else ""):
        raise FatalError(f"The Kafka data in {folder} is damaged or half made", hint=_WIPE)
    if marker.read_text().strip() != KAFKA.version:
        raise FatalError(
            f"The Kafka data in {folder} is of version {marker.read_text().strip()}, not {KAFKA.version}",
            hint=_WIPE,
        )


def _format(paths: StackPaths) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [
        *_command(paths.parts)[:-2],
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster_id}",
        "--config=server.properties",
    ]
    try:
        subprocess.run(
            command,
            cwd=paths.kafka,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    except BaseException as error:
        shutil.rmtree(paths.kafka / _LOGS, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):
            reason = (error.stderr or error.stdout).strip().splitlines()[-1:] or ["no output"]
            raise FatalError(
                f"Kafka could not format {paths.kafka}: {reason[0]}",
                hint="check that the folder can be written to",
            ) from error
        raise
