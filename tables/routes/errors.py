"""Errors of routing rules."""

from __future__ import annotations

from tables.errors import DefinitionError


class RuleError(DefinitionError):
    """A rule is refused as a whole: nothing of it becomes active."""

    noun = "rule"
    reason = "invalid_rule"
