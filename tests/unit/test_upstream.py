"""The patches kept for upstream fit the pinned versions."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "upstream"
PATCHES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^- Version: (\S+) (\S+)$", re.MULTILINE)


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_a_patch_fits_what_is_installed(patch: Path, tmp_path: Path) -> None:
    """It applies to the installed source as it is, of the version that it names."""
    text = patch.read_text()
    (diff,), ((package, pinned),) = DIFF.findall(text), NAMED.findall(text)
    installed = distribution(package)
    assert installed.version == pinned
    touched = re.findall(r"^--- a/(\S+)$", diff, re.MULTILINE)
    assert touched
    for path in touched:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(installed.locate_file(path)), tmp_path / path)
    (tmp_path / "one.patch").write_text(diff)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)  # noqa: S607 - as the house test does
    check = ["git", "apply", "--check", "one.patch"]
    subprocess.run(check, cwd=tmp_path, check=True)


def test_the_list_names_each_patch() -> None:
    """`docs/upstream/README.md` lists what is there."""
    listed = re.findall(r"\]\((\S+)\.md\)", (FOLDER / "README.md").read_text())
    assert sorted(listed) == [path.stem for path in PATCHES]
