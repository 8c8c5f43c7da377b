"""Compiled modules: made where a compiler is, and nobody is stopped where none is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from hatch_build import CompileError, compiled
from tests.support.stack import ROOT

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one module in Cython."""
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "__init__.py").touch()
    (tmp_path / "fleet" / "answer.pyx").write_text("def answer():\n    return 42\n")
    return tmp_path


def answer_of(project: Path) -> str:
    """Return what the compiled module answers, in a process of its own."""
    code = "from fleet.answer import answer; print(answer())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=project,
        env={"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or done.stderr


@needs_compiler
def test_a_module_is_compiled_beside_its_source_alone(project: Path) -> None:
    """And not again while it is up to date; nothing else is left in the tree."""
    (made,) = compiled(project)
    assert made == project / "fleet" / f"answer{SUFFIX}"
    assert {path.name for path in project.rglob("*")} == {"fleet", "__init__.py", "answer.pyx", made.name}
    assert answer_of(project) == "42"
    before = made.stat().st_mtime_ns
    assert compiled(project) == [made]
    assert made.stat().st_mtime_ns == before


@needs_compiler
def test_a_changed_source_is_compiled_again(project: Path) -> None:
    """What is imported is always what the source says."""
    (made,) = compiled(project)
    source = project / "fleet" / "answer.pyx"
    source.write_text("def answer():\n    return 43\n")
    os.utime(source, (made.stat().st_mtime + 10,) * 2)
    compiled(project)
    assert answer_of(project) == "43"


def test_without_a_compiler_it_says_so_in_a_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no compiled module of an older source, of whichever module."""
    monkeypatch.setenv("CC", "no-such-compiler")
    (project / "fleet" / "other.pyx").write_text("def other():\n    return 1\n")
    stale = [project / "fleet" / f"{name}{SUFFIX}" for name in ("answer", "other")]
    for path in stale:
        path.write_bytes(b"of an older source")
        os.utime(path, (0, 0))
    with pytest.raises(CompileError, match="no-such-compiler") as refused:
        compiled(project)
    assert "\n" not in str(refused.value)
    assert not any(path.exists() for path in stale)


def wheel_of(project: Path, *, compiler: str | None) -> tuple[str, set[str], str]:
    """Build a wheel as pip does; return its name, the files in it and what was said meanwhile."""
    shutil.copy(ROOT / "hatch_build.py", project)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "answers"\nversion = "1"\nrequires-python = ">=3.11"\n'
        "[tool.hatch.build.targets.wheel.hooks.custom]\n"
        '[tool.hatch.build.targets.wheel]\npackages = ["fleet"]\n'
    )
    environment = {**os.environ, **({} if compiler is None else {"CC": compiler})}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
        check=True,
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    (wheel,) = (project / "dist").iterdir()
    with ZipFile(wheel) as archive:
        return wheel.name, set(archive.namelist()), done.stdout + done.stderr


@needs_compiler
def test_a_wheel_has_the_compiled_modules_and_says_for_which_platform(project: Path) -> None:
    """So that no other platform installs it."""
    name, files, _ = wheel_of(project, compiler=None)
    assert f"fleet/answer{SUFFIX}" in files
    assert "none-any" not in name


def test_a_wheel_is_built_where_no_compiler_is(project: Path) -> None:
    """With one line of warning; it is for every platform."""
    name, files, said = wheel_of(project, compiler="no-such-compiler")
    assert name == "answers-1-py3-none-any.whl"
    assert "fleet/__init__.py" in files
    assert not any(path.endswith(".so") for path in files)
    warnings = [line for line in said.splitlines() if "not compiled" in line]
    assert len(warnings) == 1
    assert "no-such-compiler" in warnings[0]


def test_switched_off_everything_runs_in_python() -> None:
    """So that the two can be compared, and a doubt about one be settled."""
    code = (
        "import sys; from fleet.lane import batches, fetched; from schemas import projection;"
        "print({'fleet.lane._records', 'schemas.projection._run'} & set(sys.modules))"
    )
    environment = {**os.environ, "EVENTFLEET_NATIVE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
