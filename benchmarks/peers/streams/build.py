"""The Kafka Streams worker as a program: its jars fetched, its Java source compiled, its command line."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from fleet.errors import FatalError
from fleet.settings import settings
from stack.fetch import Part, fetch
from stack.java import java
from stack.paths import StackPaths, locked

HERE = Path(__file__).parent
SOURCES = HERE / "java"
MAIN = "eventfleet.Worker"
STREAMS = Part(
    name="streams",
    title="Kafka Streams",
    size_mb=103,
    goal=("copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory={into}"),
    pins=HERE,
)
_COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"
_COMPILER_OPTIONS = ("-25", "-proc:none", "-warn:none")
_JVM_OPTIONS = (
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseSerialGC",  # The right collector for one core.
    "--enable-native-access=ALL-UNNAMED",  # RocksDB and lz4: no warning at each start.
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


def prepare(parts_dir: Path, say: Callable[[str], None]) -> Path:
    """Fetch and compile what is not there yet; returns the folder of the classes.

    Args:
        parts_dir: Cache of downloads; the classes are kept there too, by the hash of their source.
        say: Gets progress lines.

    Raises:
        FatalError: A part cannot be fetched, or the source does not compile.
    """
    fetch(STREAMS, parts_dir, say)
    classes = parts_dir / f"streams-classes-{source_hash()}"
    if classes.is_dir():
        return classes
    with locked(parts_dir, say):
        if not classes.is_dir():
            with TemporaryDirectory(dir=parts_dir, prefix=".streams-classes-") as scratch:
                _compile(parts_dir, Path(scratch) / "classes").replace(classes)
    return classes


def command(job: Path) -> list[str]:
    """Return the command that runs the worker with the job in this file."""
    parts_dir = StackPaths.of(settings()).parts
    classes = prepare(parts_dir, print)
    return [str(java()), *_JVM_OPTIONS, "-cp", f"{classes}:{_jars(parts_dir)}", MAIN, str(job)]


def source_hash() -> str:
    """Return what tells one state of source, pins and compiler options from another."""
    digest = hashlib.sha256(" ".join(_COMPILER_OPTIONS).encode())
    for path in [STREAMS.sums, *sorted(SOURCES.rglob("*.java"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _jars(parts_dir: Path) -> str:
    return f"{STREAMS.folder(parts_dir)}/*"


def _compile(parts_dir: Path, into: Path) -> Path:
    compiler = [str(java()), "-XX:TieredStopAtLevel=1", "-cp", _jars(parts_dir), _COMPILER]
    jars = ":".join(map(str, sorted(STREAMS.folder(parts_dir).glob("*.jar"))))
    command = [*compiler, *_COMPILER_OPTIONS, "-cp", jars, "-d", str(into), str(SOURCES)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(into, ignore_errors=True)
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "ERROR" in line), f"exit code {done.returncode}")
        raise FatalError(f"The Kafka Streams worker does not compile: {reason}", hint=f"see {SOURCES}")
    return into
