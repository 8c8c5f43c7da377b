"""Compiles the Cython modules where a C compiler is; without one everything runs in Python."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("agents", "api", "fleet", "gateway", "normalization", "schemas", "stack", "tables")
COMPILE_LIMIT_S = 600


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg] # it asks for hatchling's own settings
    """Puts compiled modules beside their sources, and into a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling: called before files are collected."""
        root = Path(self.root)
        try:
            built = compiled(root)
        except CompileError as error:
            self.app.display_warning(f"not compiled, so in pure Python and slower: {error}")
            return
        if version != "editable":
            build_data |= {"pure_python": False, "infer_tag": True}
            build_data["force_include"] |= {str(path): str(path.relative_to(root)) for path in built}


class CompileError(Exception):
    """A module could not be compiled; says why in one line."""


def compiled(root: Path) -> list[Path]:
    """Compile what is not up to date; return all compiled modules.

    Raises:
        CompileError: Cython, a compiler or Python's headers are missing. Nothing stale is left.
    """
    sources = sorted(path for package in PACKAGES for path in (root / package).rglob("*.pyx"))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    targets = {source: source.with_name(source.stem + suffix) for source in sources}
    outdated = {source: target for source, target in targets.items() if _is_older(target, source)}
    for target in outdated.values():
        target.unlink(missing_ok=True)
    for source, target in outdated.items():
        _compile(root, source)
        if not target.exists():
            raise CompileError(f"{target.name} was not made")
    return list(targets.values())


def _is_older(target: Path, source: Path) -> bool:
    return not target.exists() or target.stat().st_mtime < source.stat().st_mtime


def _compile(root: Path, source: Path) -> None:
    name = ".".join(source.relative_to(root).with_suffix("").parts)
    # In a process of its own: what compilers write is for the one who looks for it.
    command = [sys.executable, str(Path(__file__).resolve()), name, str(source.relative_to(root))]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, cwd=root, capture_output=True, text=True, timeout=COMPILE_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CompileError(f"{name} took too long") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise CompileError(f"{name}: {said[-1]}")


def main(name: str, source: str) -> None:
    """Compile one module beside its source."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - here alone, as are the two below

    from Cython.Build import cythonize  # noqa: PLC0415
    from setuptools import Distribution, Extension  # noqa: PLC0415

    with TemporaryDirectory() as scratch:
        extension = Extension(name, [source], extra_compile_args=["-g0"])
        modules = cythonize([extension], build_dir=scratch, language_level=3)
        build = Distribution({"name": name, "packages": [], "ext_modules": modules}).get_command_obj(
            "build_ext"
        )
        build.build_temp = build.build_lib = scratch
        build.inplace = True
        build.ensure_finalized()
        build.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
