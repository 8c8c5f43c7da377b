"""What classes of field values decided, for events of one schema and the same attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents.router.domain.classes import Classed
from agents.router.domain.index import Index
from schemas.codec import HEADER_BYTES
from schemas.projection import UnclassedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.router.deciding import Verdict
    from agents.router.domain.routing import Route, TypeRules
    from schemas.codec import Codec
    from schemas.projection import Classifier

MAX_CLASSES: Final = 10_000


class ClassedRules:
    """The rules of an event type that classes of field values decide, for one schema.

    Attributes:
        classify: Gives the classes of a value's fields.
        index: The rules that they decide.
        rest: The others; None where there are none.
        project: Decodes the fields that the others read.
    """

    def __init__(self, classed: Classed, classify: Classifier, codec: Codec) -> None:
        self.classify = classify
        self.index = _index(classed.routes)
        self.rest = _index(classed.rest) if classed.rest else None
        fields = (route.condition.fields for route in classed.rest)
        self.project: Callable[[bytes], dict[str, Any]] = codec.projector(frozenset[str]().union(*fields))

    @classmethod
    def of(cls, rules: TypeRules, header: bytes, codec: Codec) -> ClassedRules | None:
        """Return those of `rules`, for values that begin with `header`; None where there are none."""
        unclassed: frozenset[str] = frozenset()
        while True:
            classed = Classed(rules.routes, unclassed)
            if not classed.tests:
                return None
            try:
                classify = codec.classifier(header, classed.tests)
            except UnclassedError as error:
                unclassed |= {each for each in classed.tests if f"{each}.".startswith(f"{error.path}.")}
            else:
                return None if classify is None else cls(classed, classify, codec)


class ByClass:
    """What was decided so far, by class.

    Args:
        rules: The rules.

    Attributes:
        rules: The rules.
        verdicts: What becomes of an event, where classes decide all rules.
        matching: Which rules match, where they decide some.
    """

    def __init__(self, rules: ClassedRules) -> None:
        self.rules = rules
        self.verdicts: dict[bytes, Verdict] = {}
        self.matching: dict[bytes, int] = {}

    def classes(self, value: bytes) -> bytes | None:
        """Return the classes of a value's fields; None where they cannot be told."""
        try:
            return self.rules.classify(value, HEADER_BYTES)
        except ValueError:
            return None  # Decoding it says what is wrong with it.

    def remember(self, classes: bytes, verdict: Verdict) -> None:
        """Note what becomes of events of these classes."""
        if len(self.verdicts) >= MAX_CLASSES:
            self.verdicts.clear()
        self.verdicts[classes] = verdict

    def remember_matching(self, classes: bytes, matching: int) -> None:
        """Note which rules events of these classes match."""
        if len(self.matching) >= MAX_CLASSES:
            self.matching.clear()
        self.matching[classes] = matching


def _index(routes: list[Route]) -> Index[Route]:
    return Index(tuple(routes), lambda route: route.condition)
