"""What can end a task's hold on its partition."""

from __future__ import annotations

from fleet.errors import EventfleetError, FatalError


class Lost(EventfleetError):  # noqa: N818 - a state of the task, named as such
    """The outcome of the task's last step is unknown or failed: discard, acquire again from the start."""


class Fenced(Lost):
    """Another producer holds the task's transactional id: acquire again only in a new generation."""


class NotAuthorized(Lost):
    """Kafka does not let the worker write to some topics; the transaction did not commit.

    Args:
        topics: The topics.
    """

    def __init__(self, topics: frozenset[str]) -> None:
        super().__init__(f"Kafka does not let this worker write to {', '.join(sorted(topics))}")
        self.topics = topics


class StoreError(Lost):
    """The store of a table partition cannot be opened, read or written."""


class StoreCorruptError(StoreError):
    """The files of a store are damaged: they go, and the changelog gives the rows again."""


class Halted(FatalError):  # noqa: N818 - a state of the task, named as such
    """State, offsets and source do not agree: the task does nothing until a person has decided."""
