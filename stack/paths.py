"""Where the embedded stack keeps its files: everything under one ignored folder."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fleet.settings import Settings


@dataclass(frozen=True, slots=True)
class StackPaths:
    """Folders of one embedded stack, absolute.

    Attributes:
        root: The data folder itself.
        parts: Downloaded Java parts; may be shared by several stacks.
    """

    root: Path
    parts: Path

    @classmethod
    def of(cls, settings: Settings, parts_dir: Path | None = None) -> StackPaths:
        """Return the folders under ``settings.data_dir``, with the parts elsewhere if asked."""
        root = settings.data_dir.absolute()
        return cls(root=root, parts=parts_dir.absolute() if parts_dir else root / "parts")

    @property
    def kafka(self) -> Path:
        """Configuration and log segments of the broker."""
        return self.root / "kafka"

    @property
    def registry(self) -> Path:
        """Working folder of the schema registry, which keeps its data in Kafka."""
        return self.root / "registry"

    @property
    def run(self) -> Path:
        """Pid files of what is up."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """Output of the parts, one file each."""
        return self.root / "logs"

    @property
    def wipeable(self) -> tuple[Path, ...]:
        """What a wipe removes: all but the downloads."""
        return (self.kafka, self.registry, self.run, self.logs)


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Let one process at a time change `folder`; the others say so and wait.

    The lock goes with the process that holds it, however that ends.

    Raises:
        FatalError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock_file = (folder / ".lock").open("w")
    except OSError as error:
        raise FatalError(
            f"The folder {folder} cannot be written to ({error.strerror})",
            hint="set EVENTFLEET_DATA_DIR to a folder of your own",
        ) from error
    with lock_file as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another command that works in {folder}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
