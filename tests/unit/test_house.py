"""House rules that no other tool checks: locked dependencies, commands, import directions, clean text."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
BENCH_LOCK = "requirements-bench.lock"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)")
# The first is PyTables and the second installs a package `agents`: either would shadow a package of ours.
FORBIDDEN = {"tables", "openai-agents"}
PACKAGES = ["agents", "gateway", "api", "tables", "schemas", "stack", "fleet"]


def pins(lock: str) -> dict[str, str]:
    """Return the locked version of each package, by canonical name."""
    lines = (ROOT / lock).read_text().splitlines()
    return {canonicalize_name(m["name"]): m["version"] for m in map(PIN.match, lines) if m}


def project_requirements(lock: str) -> list[Requirement]:
    """Return what pyproject.toml asks for and the lock file has to satisfy."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = document["project"]["dependencies"] + document["project"]["optional-dependencies"]["local"]
    if lock == "requirements-dev.lock":
        wanted += document["dependency-groups"]["dev"]
    return [Requirement(line) for line in wanted]


def make_targets() -> set[str]:
    """Return the targets that `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*?## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def tracked_files() -> list[Path]:
    """Return the files that git tracks and that exist, this one excepted."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(git, check=True, capture_output=True, text=True).stdout.split("\0")
    return [path for name in names if name and (path := ROOT / name).is_file() and path != Path(__file__)]


@pytest.mark.parametrize("lock", [*LOCKS, BENCH_LOCK])
def test_lock_names_no_host_and_no_path(lock: str) -> None:
    """Packages come from whatever index the installing machine uses."""
    text = (ROOT / lock).read_text()
    assert re.findall(r"://|^--?[a-z]|(?:^|\s)/\w+/", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", [*LOCKS, BENCH_LOCK])
def test_lock_pins_every_package_with_a_hash(lock: str) -> None:
    """Each requirement is one exact version followed by at least one sha256."""
    text = re.sub(r"\\\n", " ", (ROOT / lock).read_text())
    requirements = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(requirements) > 30
    assert [line for line in requirements if not (PIN.match(line) and "--hash=sha256:" in line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_no_package_that_shadows_ours(lock: str) -> None:
    """Nothing is installed under an import name of this project."""
    assert FORBIDDEN & set(pins(lock)) == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_the_project(lock: str) -> None:
    """A changed pyproject.toml without `make lock` is noticed, with the requirement that is not met."""
    locked = pins(lock)
    unmet = [
        str(wanted)
        for wanted in project_requirements(lock)
        if not wanted.specifier.contains(locked.get(canonicalize_name(wanted.name), "0"), prereleases=True)
        or canonicalize_name(wanted.name) not in locked
    ]
    assert unmet == [], "run make lock"


def test_peers_of_the_benchmarks_are_not_the_projects() -> None:
    """quix-streams is locked apart: it needs an older pydantic than the product has."""
    assert "quixstreams" in pins(BENCH_LOCK)
    assert not any("quixstreams" in pins(lock) for lock in LOCKS)


def test_developers_run_what_is_deployed() -> None:
    """Both lock files agree on every version that they share, and developers have all that is deployed."""
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documented_make_commands_exist(document: str) -> None:
    """Each `make` command in the text is a target of the Makefile."""
    text = (ROOT / document).read_text()
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
    assert named
    assert named <= make_targets()


def test_every_target_is_listed_by_help() -> None:
    """`make` alone shows each phony target with what it does."""
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == make_targets()
    shown = subprocess.run(["make", "-C", str(ROOT)], check=True, capture_output=True, text=True).stdout  # noqa: S607  # the one on the PATH is the one people run
    assert all(f"make {target} " in shown for target in make_targets())


def test_missing_python_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    """Without a fitting Python, set-up names the lack and the mending command, and leaves no .venv behind."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements-dev.lock", "requirements-samples.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    command = ["make", "-C", str(tmp_path), "setup", "PYTHON=no-such-python"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert result.returncode != 0
    assert len(said) == 1
    assert "Python 3.11 or newer" in said[0]
    assert "apt-get install" in said[0]
    assert not (tmp_path / ".venv").exists()


def test_tracked_files_name_no_machine() -> None:
    """No file carries a path of somebody's machine or the host of a package index."""
    pattern = re.compile(
        r"(?<![\w./$}-])/(?:home|root|Users|work)/\w|pypi\.org|pythonhosted\.org|repo1?\.maven|registry\.npmjs"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked_files()
        if (match := pattern.search(path.read_text(errors="ignore")))
    ]
    assert found == []


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over a tree that holds the packages."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the packages, to be spoilt."""
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_import_directions_are_kept(tree: Path) -> None:
    """The code as it is breaks no contract."""
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("agents/router/planted.py", "agents.aggregator"),
        ("agents/router/planted.py", "gateway"),
        ("agents/router/planted.py", "stack"),
        ("agents/router/planted.py", "fleet.cli"),
        ("agents/router/domain/planted.py", "faust"),
        ("agents/aggregator/domain/planted.py", "aiokafka"),
        ("agents/normalizer/domain/planted.py", "motor"),
        ("gateway/planted.py", "agents.router"),
        ("api/planted.py", "gateway"),
        ("tables/planted.py", "api"),
        ("tables/planted.py", "agents.router"),
        ("fleet/cel/planted.py", "aiohttp"),
        ("schemas/planted.py", "tables"),
        ("stack/planted.py", "schemas"),
        ("fleet/planted.py", "schemas"),
        ("fleet/lane/planted.py", "stack"),
    ],
)
def test_import_against_the_direction_is_refused(tree: Path, module: str, imported: str) -> None:
    """The contracts see every package: one planted import in any of them breaks the check."""
    (tree / module).write_text(f'"""Planted."""\n\nimport {imported}\n')
    result = lint_imports(tree)
    assert result.returncode == 1
    assert f"{module.removesuffix('.py').replace('/', '.')} -> {imported}" in result.stdout
