"""A disk of a few megabytes that a test fills and frees while a worker writes to it."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SIZE_BYTES = 3 << 20
"""Less than what RocksDB reserves for a file ahead of writing it: what is reserved would not be full."""

BLOCK = bytes(4096)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A disk of its own where this user may mount one; else a limit on the files of who writes there.

    Attributes:
        folder: Where it is.
        mounted: Whether it is a disk of its own.
    """

    folder: Path
    mounted: bool

    def fill(self, writer_pid: int) -> None:
        """Leave no room; again where the writer has made some."""
        if not self.mounted:
            resource.prlimit(writer_pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            return
        with suppress(OSError), self._filler.open("ab", buffering=0) as filler:
            while True:
                filler.write(BLOCK)

    def free(self, writer_pid: int) -> None:
        """Give the room back."""
        if self.mounted:
            self._filler.unlink()
        else:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(writer_pid, resource.RLIMIT_FSIZE, unlimited)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Have `folder` on a small disk."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "none", str(folder)]
    mounted = _ran("mount", *options)
    try:
        yield SmallDisk(folder, mounted)
    finally:
        if mounted:
            # Lazily: its workers may have files open, and are ended after the test.
            _ran("umount", "--lazy", str(folder))


def _ran(*command: str) -> bool:
    with suppress(FileNotFoundError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False
