"""The list of traps names tests that are there, and every test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "regression"
NAMED = re.compile(r"`((?:tests/[\w/]+/)?test_\w+\.py)(?:::(\w+))?`")


def test_the_list_of_traps_is_right() -> None:
    """Each file named in `tests/regression/README.md` exists, with the named test; none is left out."""
    listed = set()
    for path, test in NAMED.findall((FOLDER / "README.md").read_text()):
        file = ROOT / path if "/" in path else FOLDER / path
        assert not test or f"def {test}(" in file.read_text(), f"{path} has no {test}"
        assert file.is_file(), path
        listed.add(file)
    assert set(FOLDER.glob("test_*.py")) <= listed
