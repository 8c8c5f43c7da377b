"""What somebody asks, as the job of a process: drafts are checked as they are when they are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from agents.router.dry_run.plan import Request, plan
from tables.routes.checks import check_rule, check_table, needs_schema
from tables.routes.known_events import KnownEvents
from tables.routes.rule import parse_rule

if TYPE_CHECKING:
    from collections.abc import Collection

    from agents.router.dry_run.job import Document, Job
    from schemas.registry import Registry
    from tables.definitions import Definitions

_LAST_ID: Final = 2**32 - 1
"""Ids that no registry gives: those of schemas that nobody has registered go down from here."""


async def job_of(
    request: Request, definitions: Definitions, registry: Registry, sources: Collection[str]
) -> Job:
    """Return the job of a request, by the rules as they stand.

    Args:
        request: What is asked.
        definitions: The rules.
        registry: The schema registry.
        sources: Topics that the router reads.

    Raises:
        NotFoundError: A rule that is named is not there.
        PermanentError: A rule, or the request, is refused; says why.
        TransientError: Kafka or the registry does not answer.
    """
    table = await definitions.table()
    stored = {name: parse_rule(each) for name, each in table.documents.items()}
    job = plan(request, stored, table.offset, sources)
    return await _checked(job, KnownEvents(registry))


async def _checked(job: Job, events: KnownEvents) -> Job:
    """Check the rules that differ, and give their projections schemas that nobody has registered."""
    known = {each["name"]: each for each in job.baseline}
    rules = [parse_rule(each) for each in job.draft]
    schemas: dict[int, Document] = {}
    drafts: list[Document] = []
    for rule, document in zip(rules, job.draft, strict=True):
        if known.get(rule.name) == document:
            drafts.append(document)
            continue
        schema_id = None
        found = check_rule(rule, await events.covered(rule) if needs_schema(rule) else {})
        if found is not None:
            schema_id = _LAST_ID - len(schemas)
            schemas[schema_id] = found
        drafts.append({**document, "output_schema": schema_id})
    check_table(rules)
    return msgspec.structs.replace(job, draft=tuple(drafts), schemas=schemas)
