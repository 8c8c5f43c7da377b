"""A codec that decodes an event once for both sets of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.errors import PermanentError
from schemas.codec import Codec
from schemas.registry import SubjectVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from schemas.codec import SchemaSource
    from tables.routes.rule import Rule


class SharedCodec(Codec):
    """Decodes the fields that either set of rules reads, once for an event.

    Args:
        registry: Source of the schemas.
        changed: Fields that the conditions of the rules read which only one of the sets has. With them
            added, both sets read the same fields of an event.

    Attributes:
        decoded: The event at hand, by the fields that were decoded; to be cleared before the next one.
    """

    def __init__(self, registry: SchemaSource, changed: frozenset[str]) -> None:
        super().__init__(registry)
        self.decoded: dict[frozenset[str], dict[str, Any]] = {}
        self._changed = changed

    def projector(self, wanted: frozenset[str]) -> Callable[[bytes], dict[str, Any]]:
        """Return what decodes the fields `wanted`, and those of the other set with them."""
        fields = wanted | self._changed
        of_both, alone, decoded = super().projector(fields), super().projector(wanted), self.decoded

        def project(value: bytes) -> dict[str, Any]:
            event = decoded.get(fields)
            if event is None:
                try:
                    event = of_both(value)
                except PermanentError:
                    # A field that only the other set reads must not fail this one.
                    return alone(value)
                decoded[fields] = event
            return event

        return project


class WithDrafts:
    """A source of schemas that also has those which nobody has registered yet.

    Args:
        registry: The registry.
        drafts: Further schemas by id.
    """

    def __init__(self, registry: SchemaSource, drafts: Mapping[int, dict[str, Any]]) -> None:
        self._registry = registry
        self._drafts = drafts

    async def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the Avro schema of an id."""
        draft = self._drafts.get(schema_id)
        return await self._registry.schema(schema_id) if draft is None else draft

    async def latest(self, subject: str) -> SubjectVersion:
        """Return the newest version of a subject."""
        return await self._registry.latest(subject)


def fields_of_changed(baseline: Iterable[Rule], draft: Iterable[Rule]) -> frozenset[str]:
    """Return the fields that conditions read of rules which are not in both sets as they are."""
    old, new = ({rule.name: rule for rule in rules} for rules in (baseline, draft))
    changed = [old[name] for name in old if new.get(name) != old[name]]
    changed += [new[name] for name in new if old.get(name) != new[name]]
    return frozenset[str]().union(*(rule.compiled.fields for rule in changed))
