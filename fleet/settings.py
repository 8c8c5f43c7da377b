"""Settings of every process, from ``EVENTFLEET_*`` environment variables."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Immutable process settings; each field is an ``EVENTFLEET_<NAME>`` variable."""

    model_config = SettingsConfigDict(env_prefix="EVENTFLEET_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address that local parts bind to and advertise.")
    kafka_port: int = Field(29092, description="Client listener of the embedded broker.")
    kafka_controller_port: int = Field(29093, description="Controller listener of the embedded broker.")
    registry_port: int = Field(28081, description="HTTP port of the embedded schema registry.")
    registry_management_port: int = Field(29081, description="Health port of the embedded registry.")
    gateway_port: int = Field(28080, description="HTTP port of the gateway.")
    router_port: int = Field(26066, description="Faust web port of the router worker.")
    aggregator_port: int = Field(26067, description="Faust web port of the aggregator worker.")
    normalizer_port: int = Field(26068, description="Faust web port of the normalizer worker.")
    data_dir: Path = Field(Path(".eventfleet"), description="Folder of all local data, ignored by git.")
    bootstrap_servers: str | None = Field(None, description="Kafka brokers, host:port[,host:port].")
    registry_url: str | None = Field(None, description="Confluent-compatible registry base URL.")
    session_timeout_s: float = Field(10.0, description="Group session time-out, seconds.")
    router_sources: str = Field(
        "canonical.claim", description="Topics that the router reads, comma-separated, equally partitioned."
    )
    idle_after_s: float = Field(
        30.0, gt=0, description="How long a source has no events before it no longer holds windows open."
    )
    standbys: int = Field(0, ge=0, description="Copies of each task's state on other workers.")
    dead_letter_share: float = Field(
        0.5, description="Share of dead letters at which a task halts; 1 for never.", ge=0, le=1
    )
    replication_factor: int = Field(1, description="Replication of topics created by the catalogue.")
    store: Literal["memory", "rocksdb"] = Field("memory", description="Where tables keep their rows.")
    rocksdb_mib: int = Field(256, description="Memory of all RocksDB tables of a worker, MiB.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Level of the log.")
    log_json: bool = Field(False, description="Log as JSON lines, for machines.")

    @property
    def kafka(self) -> str:
        """Bootstrap servers, ``host:port[,host:port]``."""
        return self.bootstrap_servers or f"{self.host}:{self.kafka_port}"

    @property
    def registry(self) -> str:
        """Base URL of the Confluent API of the schema registry."""
        return self.registry_url or f"http://{self.host}:{self.registry_port}/apis/ccompat/v7"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once from the environment."""
    return Settings()
