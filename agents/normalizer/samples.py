"""Sample inputs: the X12 files that badx12 carries, and synthetic claims by x12sdk's seeded generator.

Both come with ``pip install eventfleet[local]``; production installations have neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path, PurePath

from fleet.errors import FatalError

_HINT = "pip install eventfleet[local]"
_MALFORMED_FOLDER = "errors"
_PROFESSIONAL_CLAIM = "X222-"
_BHT = re.compile(rb"BHT\*[^~]*?\*(\d{8})\*(\d{4,8})")

SYSTEMS = ("clearinghouse-east", "clearinghouse-west", "practice-portal")
FIRST_DAY = date(2026, 1, 5)
"""The generator's dates of service end on 2025-12-31, so no claim is sent before it was earned."""


@dataclass(frozen=True)
class Sample:
    """One sample file."""

    name: str
    content: bytes


@dataclass(frozen=True)
class GeneratedFile:
    """One generated file, and what is in it by the generator's own account.

    Attributes:
        system: Name of the source system that sends it.
        name: Name of the file.
        content: An interchange of one or more 837P transactions.
        claims: Number of claims.
        total_cents: Sum of charges, US cents.
        cents_by_provider: Sum of charges by billing provider NPI, US cents.
    """

    system: str
    name: str
    content: bytes
    claims: int
    total_cents: int
    cents_by_provider: dict[str, int]


def sample_837p() -> list[Sample]:
    """Return the 837 professional claim files, by time of creation, then name."""
    return [sample for sample in _good() if sample.name.startswith(_PROFESSIONAL_CLAIM)]


def other_transactions() -> list[Sample]:
    """Return the well-formed files of other kinds (835, 270, 271), by time of creation, then name."""
    return [sample for sample in _good() if not sample.name.startswith(_PROFESSIONAL_CLAIM)]


def malformed() -> list[Sample]:
    """Return the files that are broken on purpose, by time of creation, then name."""
    return _samples(_MALFORMED_FOLDER)


def _good() -> list[Sample]:
    return _samples("edi")


def _samples(folder: str) -> list[Sample]:
    """Return the .edi files in one folder of the installed badx12.

    Raises:
        FatalError: The distribution or its files are not installed.
    """
    try:
        found = files("badx12") or []
    except PackageNotFoundError as error:
        message = "badx12, which carries the sample files, is not installed"
        raise FatalError(message, hint=_HINT) from error
    paths = [path for path in found if PurePath(path).parent.name == folder and path.suffix == ".edi"]
    samples = [Sample(path.name, Path(str(path.locate())).read_bytes()) for path in paths]
    if not samples:
        message = f"badx12 is installed without its files in {folder}"
        raise FatalError(message, hint=f"reinstall it: {_HINT}")
    return sorted(samples, key=lambda sample: (_created(sample.content), sample.name))


def _created(content: bytes) -> tuple[bytes, bytes]:
    match = _BHT.search(content)
    return (match[1], match[2]) if match else (b"", b"")


def generate(
    claims: int,
    *,
    seed: int,
    systems: Sequence[str] = SYSTEMS,
    claims_per_file: int = 100,
    start: date = FIRST_DAY,
) -> Iterator[GeneratedFile]:
    """Return files with exactly that many synthetic claims; equal arguments give equal bytes.

    A file holds one transaction for every 25 claims, each of one of twelve billing providers. The systems
    send in turn; the creation times of a system's transactions ascend over three days.

    Args:
        claims: Number of claims in all files together.
        seed: Seed of every value.
        systems: Names of the source systems.
        claims_per_file: Claims in a file; the last one may have fewer.
        start: First day of creation.

    Raises:
        FatalError: x12sdk is not installed.
    """
    try:
        from agents.normalizer import synthetic  # noqa: PLC0415 - x12sdk, which it needs, is optional
    except ModuleNotFoundError as error:
        message = f"{error.name}, which generates claims, is not installed"
        raise FatalError(message, hint=_HINT) from error
    return synthetic.generate(
        claims, seed=seed, systems=systems, claims_per_file=claims_per_file, start=start
    )
