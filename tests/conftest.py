"""Fixtures that all tests share."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.stack import running_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.settings import Settings

TESTS: Final = Path(__file__).parent
GROUPS: Final = {"e2e": "faults", "regression": "faults"}
"""Kinds of tests that run in one process with those of another kind; the others are each by itself."""


def pytest_configure() -> None:
    """Take Ctrl-C, also where a shell started the run in the background and so had it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the stack, so that `-m "not stack"` leaves them out."""
    for item in items:
        if "stack_settings" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


class ByKind(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all tests of a kind to one process, which has one stack."""

    def _split_scope(self, nodeid: str) -> str:
        kind = nodeid.split("/")[1]
        return GROUPS.get(kind, kind)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByKind:
    """Share the tests out by kind where several processes run them (``pytest -n 2``)."""
    return ByKind(config, log)


@pytest.fixture(scope="session")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a real broker and schema registry that are up for the whole run."""
    with running_stack(tmp_path_factory.mktemp("stack")) as settings:
        yield settings


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Make names that no other test uses: ``unique("orders")`` gives ``orders-3f9a61c2``."""
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:8]}"
