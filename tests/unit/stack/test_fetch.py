"""Downloads: pinned, checked, fetched once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet.errors import FatalError
from stack.fetch import KAFKA, PARTS, PINS, Part, damaged_files, fetch, is_fetched

_MAVEN = """#!/bin/sh
{body}
"""


@pytest.fixture
def said() -> list[str]:
    """Progress lines of the fetch."""
    return []


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only program on the PATH: a script in the place of Maven, for a test to write."""
    script = tmp_path / "bin" / "mvn"
    script.parent.mkdir()
    monkeypatch.setenv("PATH", str(script.parent))
    return script


def _write(script: Path, body: str) -> None:
    script.write_text(_MAVEN.format(body=body))
    script.chmod(0o755)


def test_every_pin_is_a_version_with_checksums() -> None:
    """Each part has a version in the pom and a sha256 for each of its files."""
    for part in PARTS:
        assert re.fullmatch(r"\d+\.\d+\.\d+", part.version)
        sums = (PINS / f"{part.name}.sha256").read_text().splitlines()
        assert sums
        assert all(re.fullmatch(r"[0-9a-f]{64}  [\w.+-]+", line) for line in sums)


def test_the_log_binding_fits_what_kafka_brings() -> None:
    """One log4j version, its SLF4J 1 binding beside SLF4J 1, and the reader of the YAML configuration."""
    names = (PINS / "kafka.sha256").read_text()
    log4j = dict(re.findall(r"(log4j-[a-z0-9-]+?)-(\d[\d.]+)\.jar", names))
    assert set(log4j) == {"log4j-api", "log4j-core", "log4j-slf4j-impl"}
    assert len(set(log4j.values())) == 1
    assert "slf4j-api-1." in names
    assert "jackson-dataformat-yaml" in names


def test_a_missing_maven_names_the_command_that_installs_it(
    tmp_path: Path, maven: Path, said: list[str]
) -> None:
    """Without mvn on the PATH one line says what it is for and how to get it."""
    assert not maven.exists()
    with pytest.raises(
        FatalError, match=r"Maven \(mvn\) is needed to fetch Apache Kafka.*apt-get install maven"
    ):
        fetch(KAFKA, tmp_path / "parts", said.append)


def test_a_failed_download_gives_mavens_reason(tmp_path: Path, maven: Path, said: list[str]) -> None:
    """The first error that Maven prints is the message; nothing half fetched stays."""
    _write(maven, 'echo "[ERROR] Could not transfer artifact"; exit 1')
    with pytest.raises(FatalError, match=r"could not fetch Apache Kafka [\d.]+: Could not transfer artifact"):
        fetch(KAFKA, tmp_path / "parts", said.append)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [".lock"]


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path, maven: Path, said: list[str]) -> None:
    """A jar that the checksum list does not know is never put on the class path."""
    body = "for word; do case $word in -DoutputDirectory=*) into=${word#*=};; esac; done\n"
    _write(maven, f'{body}/bin/mkdir -p "$into" && echo evil > "$into/evil.jar"')
    with pytest.raises(FatalError, match=r"evil\.jar is not the pinned file"):
        fetch(KAFKA, tmp_path / "parts", said.append)
    assert not is_fetched(KAFKA, tmp_path / "parts")


def _placed(part: Part, parts_dir: Path) -> Path:
    """Lay down a part as a finished fetch leaves it, with one file."""
    folder = part.folder(parts_dir)
    folder.mkdir(parents=True)
    (folder / "a.jar").write_bytes(b"")
    return folder


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    """The doctor reads files again: one that changed since the fetch is named."""
    folder = _placed(KAFKA, tmp_path)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (folder / "SHA256SUMS").write_text(f"# pins 0\n{empty}  a.jar\n")
    assert damaged_files(KAFKA, tmp_path) == []
    (folder / "a.jar").write_bytes(b"changed")
    assert damaged_files(KAFKA, tmp_path) == ["a.jar"]


def test_a_part_fetched_for_other_pins_is_fetched_again(tmp_path: Path) -> None:
    """A stamp of other checksums does not count."""
    (_placed(KAFKA, tmp_path) / "SHA256SUMS").write_text("# pins of another day\n")
    assert not is_fetched(KAFKA, tmp_path)
