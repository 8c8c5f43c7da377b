"""Configuration and data folder of the embedded broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import FatalError
from fleet.settings import settings
from stack.broker import check_data, server_properties
from stack.fetch import KAFKA


def _rendered(**changes: object) -> dict[str, str]:
    text = server_properties(settings().model_copy(update=changes))
    return dict(line.split("=", 1) for line in text.splitlines())


def _formatted(folder: Path, version: str = KAFKA.version, meta: str = "cluster.id=abc\nnode.id=1\n") -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "meta.properties").write_text(meta)
    (folder / "kafka-version").write_text(version)
    return folder


def test_listeners_follow_the_settings() -> None:
    """Both listeners are on the host and ports asked for, and the quorum is the controller's."""
    rendered = _rendered(host="127.0.0.2", kafka_port=31092, kafka_controller_port=31093)
    assert rendered["listeners"] == "PLAINTEXT://127.0.0.2:31092,CONTROLLER://127.0.0.2:31093"
    assert rendered["advertised.listeners"] == "PLAINTEXT://127.0.0.2:31092"
    assert rendered["controller.quorum.voters"] == "1@127.0.0.2:31093"


def test_topics_are_never_made_by_accident() -> None:
    """Topics come from the catalogue alone."""
    assert _rendered()["auto.create.topics.enable"] == "false"


def test_records_of_ten_mebibytes_are_taken() -> None:
    """The limit of the broker leaves room for a large claim file."""
    assert _rendered()["message.max.bytes"] == _rendered()["replica.fetch.max.bytes"] == "10485760"


def test_a_whole_data_folder_of_this_version_passes(tmp_path: Path) -> None:
    """What was formatted by this version is started on."""
    check_data(_formatted(tmp_path))


@pytest.mark.parametrize("lost", ["kafka-version", "data/meta.properties"])
def test_a_half_made_data_folder_is_refused(tmp_path: Path, lost: str) -> None:
    """A lost marker or meta.properties names the folder and the command that wipes it."""
    (_formatted(tmp_path) / lost).unlink()
    with pytest.raises(FatalError, match=f"{tmp_path} is damaged.*stack down --wipe"):
        check_data(tmp_path)


def test_a_data_folder_without_cluster_id_is_refused(tmp_path: Path) -> None:
    """A meta.properties cut short is damage, not an empty cluster."""
    with pytest.raises(FatalError, match="is damaged"):
        check_data(_formatted(tmp_path, meta=""))


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    """Data of another Kafka names both versions and the command that wipes it."""
    with pytest.raises(FatalError, match=f"is of version 3.9.0, not {KAFKA.version}.*stack down --wipe"):
        check_data(_formatted(tmp_path, version="3.9.0"))
