"""Fetch the pinned Java parts with Maven, once, and check them against their checksums.

A part is whole when its `SHA256SUMS` is there: it is written last, names the pins it was
fetched for, and makes a second start need neither Maven nor a network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fleet.errors import FatalError
from stack.paths import locked

if TYPE_CHECKING:
    from collections.abc import Callable

PINS = Path(__file__).parent / "parts"
MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
INSTALL_MAVEN = "apt-get install maven"
_STAMP = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Part:
    """One download of Java parts.

    Attributes:
        name: Names its version in the pom and its checksum list.
        title: What people call it.
        size_mb: What is fetched, to say how long it may take.
        goal: Maven goal and arguments that copy it into the folder `{into}`.
        pins: Folder of the pom and of the checksum list.
    """

    name: str
    title: str
    size_mb: int
    goal: tuple[str, ...]
    pins: Path = PINS

    @property
    def pom(self) -> Path:
        """The Maven project that pins the version."""
        return self.pins / "pom.xml"

    @property
    def sums(self) -> Path:
        """The output of `sha256sum` over what Maven must fetch."""
        return self.pins / f"{self.name}.sha256"

    @property
    def version(self) -> str:
        """The version pinned in the pom."""
        found = re.search(rf"<{self.name}\.version>(.+?)<", self.pom.read_text())
        if found is None:
            raise FatalError(f"{self.pom} has no {self.name}.version", hint="restore the file")
        return found[1]

    @property
    def label(self) -> str:
        """Title and version."""
        return f"{self.title} {self.version}"

    def folder(self, parts_dir: Path) -> Path:
        """Return where this version lies under `parts_dir`."""
        return parts_dir / f"{self.name}-{self.version}"


KAFKA = Part(
    name="kafka",
    title="Apache Kafka",
    size_mb=55,
    goal=("copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory={into}"),
)
REGISTRY = Part(
    name="registry",
    title="Apicurio Registry",
    size_mb=159,
    goal=(
        "copy",
        "-Dartifact=io.apicurio:apicurio-registry-app:{version}:tar.gz:all",
        "-DoutputDirectory={into}",
    ),
)
PARTS = (KAFKA, REGISTRY)


def kafka_classpath(parts_dir: Path) -> str:
    """Return the Java class path of the fetched Kafka."""
    return f"{KAFKA.folder(parts_dir)}/*"


def registry_jar(parts_dir: Path) -> Path:
    """Return the runnable jar of the fetched registry."""
    return REGISTRY.folder(parts_dir) / "quarkus-run.jar"


def fetch(part: Part, parts_dir: Path, say: Callable[[str], None]) -> None:
    """Fetch `part` unless it is there; safe to run in several processes at once.

    Raises:
        FatalError: Maven is missing or failed, or a file is not the pinned one.
    """
    if is_fetched(part, parts_dir):
        return
    with locked(parts_dir, say):
        if is_fetched(part, parts_dir):
            return
        say(f"Fetching {part.label} with Maven (about {part.size_mb} MB, once)")
        started = time.monotonic()
        with TemporaryDirectory(dir=parts_dir, prefix=f".{part.name}-") as scratch:
            content = _download(part, Path(scratch))
            _write_stamp(part, content)
            target = part.folder(parts_dir)
            shutil.rmtree(target, ignore_errors=True)
            content.replace(target)
        say(f"Fetched {part.label}, checksums right ({time.monotonic() - started:.1f} s)")


def is_fetched(part: Part, parts_dir: Path) -> bool:
    """Tell whether `part` is there, whole and for today's pins; files are not read again."""
    stamp = part.folder(parts_dir) / _STAMP
    return stamp.is_file() and stamp.read_text().startswith(_pin_line(part))


def damaged_files(part: Part, parts_dir: Path) -> list[str]:
    """Return the files of a fetched part that are missing or changed since it was fetched."""
    folder = part.folder(parts_dir)
    return _differences(_read_sums(folder / _STAMP), folder)


def _download(part: Part, scratch: Path) -> Path:
    into = scratch / "fetched"
    _maven(part, into)
    wrong = _differences(_read_sums(part.sums), into)
    if wrong:
        raise FatalError(
            f"{part.label}: {wrong[0]} is not the pinned file (sha256)",
            hint="remove it from ~/.m2/repository and run again",
        )
    if part is not REGISTRY:
        return into
    unpacked = scratch / "unpacked"
    with tarfile.open(next(into.iterdir())) as archive:
        # Python before 3.11.4 has no filters; the checksum above already vouches for the content.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(unpacked)  # noqa: S202 - filtered, and pinned by checksum
    return unpacked


def _maven(part: Part, into: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise FatalError(
            f"Maven (mvn) is needed to fetch {part.label} and is not installed",
            hint=f"run `{INSTALL_MAVEN}`, or install Maven 3.6 or newer another way",
        )
    goal, *arguments = (word.format(into=into, version=part.version) for word in part.goal)
    command = [maven, "-q", "-B", "-f", str(part.pom), f"{MAVEN_PLUGIN}:{goal}", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        reason = next((line for line in lines if "ERROR" in line), f"exit code {done.returncode}")
        raise FatalError(
            f"Maven could not fetch {part.label}: {reason.removeprefix('[ERROR]').strip()}",
            hint="check the network and run again",
        )


def _pin_line(part: Part) -> str:
    return f"# pins {hashlib.sha256(part.sums.read_bytes()).hexdigest()}\n"


def _write_stamp(part: Part, content: Path) -> None:
    files = sorted(path for path in content.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(content)}\n" for path in files]
    (content / _STAMP).write_text(_pin_line(part) + "".join(lines))


def _read_sums(sums: Path) -> dict[str, str]:
    lines = [line for line in sums.read_text().splitlines() if not line.startswith("#")]
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def _differences(sums: dict[str, str], folder: Path) -> list[str]:
    present = {os.fspath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    unexpected = present - sums.keys() - {_STAMP}
    wrong = [name for name, digest in sums.items() if name not in present or _sha256(folder / name) != digest]
    return [*sorted(unexpected), *wrong]


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
