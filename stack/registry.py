"""The embedded schema registry: Apicurio Registry with its data in the embedded Kafka."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from stack.fetch import REGISTRY, registry_jar
from stack.java import java
from stack.kafka_admin import create_journals
from stack.ports import Port
from stack.process import PidFile
from stack.service import Service

if TYPE_CHECKING:
    from fleet.settings import Settings
    from stack.paths import StackPaths

JOURNAL = "_schemas-journal"
SNAPSHOTS = "_schemas-snapshots"
EVENTS = "_schemas-events"


def registry_service(settings: Settings, paths: StackPaths) -> Service:
    """Describe the registry of `settings` as a service."""
    api = Port(settings.host, settings.registry_port, "EVENTFLEET_REGISTRY_PORT", "schema registry")
    management = Port(
        settings.host,
        settings.registry_management_port,
        "EVENTFLEET_REGISTRY_MANAGEMENT_PORT",
        "schema registry health",
    )
    broker = f"{settings.host}:{settings.kafka_port}"
    return Service(
        title=REGISTRY.label,
        ports=(api, management),
        folder=paths.registry,
        pid_file=PidFile(paths.run / "registry.json"),
        log=paths.logs / "registry.log",
        prepare=lambda: create_journals(broker, [JOURNAL, SNAPSHOTS, EVENTS]),
        command=lambda: [
            str(java()),
            "-Xmx192m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *(f"-D{name}={value}" for name, value in registry_properties(settings).items()),
            "-jar",
            str(registry_jar(paths.parts)),
        ],
        is_ready=lambda: _healthy(management),
    )


def registry_properties(settings: Settings) -> dict[str, str]:
    """Return the configuration of the registry.

    It must have no consumer group: each start replays the journal whole.
    """
    return {
        "apicurio.storage.kind": "kafkasql",
        "apicurio.kafkasql.bootstrap.servers": f"{settings.host}:{settings.kafka_port}",
        "apicurio.kafkasql.topic": JOURNAL,
        "apicurio.kafkasql.snapshots.topic": SNAPSHOTS,
        "apicurio.events.kafka.topic": EVENTS,
        "apicurio.kafkasql.consumer.poll.timeout": "200",
        "apicurio.datasource.jdbc.initial-size": "2",
        "apicurio.datasource.jdbc.min-size": "2",
        "apicurio.datasource.jdbc.max-size": "16",
        "apicurio.rules.global.compatibility": "BACKWARD",
        "quarkus.banner.enabled": "false",
        "quarkus.log.console.format": "%d{yyyy-MM-dd'T'HH:mm:ss,SSS} %-5p %c{1}: %s%e%n",
        'quarkus.log.category."org.apache.kafka".level': "WARN",
        "quarkus.http.access-log.enabled": "false",
        "quarkus.http.host": settings.host,
        "quarkus.http.port": str(settings.registry_port),
        "quarkus.management.host": settings.host,
        "quarkus.management.port": str(settings.registry_management_port),
    }


def _healthy(management: Port) -> bool:
    """Ask the management port: the API answers while the journal is still being replayed."""
    connection = http.client.HTTPConnection(management.host, management.number, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
