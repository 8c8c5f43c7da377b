"""Compiled twins of Python code: nothing needs them, and EVENTFLEET_NATIVE=0 leaves them out."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

VARIABLE = "EVENTFLEET_NATIVE"
_WANTED = os.environ.get(VARIABLE, "1") != "0"


def load(module: str) -> ModuleType | None:
    """Return the compiled module of this full name, or None where it is absent or switched off."""
    if not _WANTED:
        return None
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
