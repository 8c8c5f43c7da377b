"""Subjects of the schema registry: compare with the catalogue, register. Blocking; safe to repeat.

For commands only; inside the event loop use `schemas.registry.Registry`, or a thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from schema_registry.client import SchemaRegistryClient
from schema_registry.client.errors import ClientError

from fleet.errors import FatalError, TransientError
from schemas.topics import Action

COMPATIBILITY = "BACKWARD"
TIMEOUT_S = 10.0
_CONFLUENT_PATH = "/apis/ccompat/"
_NATIVE_PATH = "/apis/registry/v3"


@dataclass(frozen=True, slots=True)
class SubjectPlan:
    """What registering would do: create a subject, alter it (a new version), nothing, or be refused.

    Attributes:
        subject: Registry subject.
        schema: Avro schema of the catalogue.
        action: What applying does.
        reasons: Why the registry refuses, one for each field.
    """

    subject: str
    schema: Mapping[str, Any]
    action: Action
    reasons: tuple[str, ...] = ()

    @property
    def refusals(self) -> tuple[str, ...]:
        """One line for each reason."""
        return tuple(f"{self.subject}: {reason}" for reason in self.reasons)


def plan_subjects(subjects: Mapping[str, dict[str, Any]], url: str) -> tuple[SubjectPlan, ...]:
    """Compare the schemas of the catalogue with the registry at `url` (Confluent API).

    Raises:
        TransientError: The registry does not answer.
        FatalError: The registry refuses this user or the request.
    """
    with _client(url) as client:
        return tuple(_plan(client, url, subject, schema) for subject, schema in subjects.items())


def apply_subjects(plans: Iterable[SubjectPlan], url: str) -> dict[str, int]:
    """Register what is new and return the schema id of each subject; nothing if one is refused.

    A new subject gets the compatibility level BACKWARD; an existing one keeps what it has.

    Raises:
        TransientError: The registry does not answer.
        FatalError: A schema is refused.
    """
    wanted = tuple(plans)
    for subject in wanted:
        if subject.refusals:
            raise FatalError(f"schema of {subject.refusals[0]}")
    ids = {}
    with _client(url) as client:
        for subject in wanted:
            if subject.action is Action.CREATE:
                client.update_compatibility(COMPATIBILITY, subject.subject)
            ids[subject.subject] = client.register(subject.subject, dict(subject.schema))
    return ids


@contextmanager
def _client(url: str) -> Iterator[SchemaRegistryClient]:
    """Open a client, and translate every error of the registry once, here."""
    try:
        yield SchemaRegistryClient(url=url, timeout=httpx.Timeout(TIMEOUT_S))
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        raise _outage(url, type(error).__name__) from error
    except ClientError as error:
        if error.http_code is None or error.http_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _outage(url, f"HTTP {error.http_code}") from error
        message = (
            f"the schema registry at {url} refused the request (HTTP {error.http_code}, {error.message})"
        )
        raise FatalError(message) from error


def _outage(url: str, what: str) -> TransientError:
    hint = "start it, or set EVENTFLEET_REGISTRY_URL"
    return TransientError(f"no answer from the schema registry at {url} ({what})", hint=hint)


def _plan(client: SchemaRegistryClient, url: str, subject: str, schema: dict[str, Any]) -> SubjectPlan:
    if client.check_version(subject, schema) is not None:
        return SubjectPlan(subject, schema, Action.IN_SYNC)
    if client.get_schema(subject) is None:
        return SubjectPlan(subject, schema, Action.CREATE)
    answer = client.test_compatibility(subject, schema, verbose=True)
    if not isinstance(answer, dict) or answer.get("is_compatible"):
        return SubjectPlan(subject, schema, Action.ALTER)
    reasons = _native_reasons(client, url, subject, schema) or tuple(answer.get("messages", ()))
    unknown = (f"not {COMPATIBILITY} compatible with the newest version",)
    return SubjectPlan(subject, schema, Action.REFUSED, reasons or unknown)


def _native_reasons(
    client: SchemaRegistryClient, url: str, subject: str, schema: dict[str, Any]
) -> tuple[str, ...]:
    # Apicurio's Confluent API gives no reasons; its own API does, without registering anything.
    base, confluent, _ = url.partition(_CONFLUENT_PATH)
    if not confluent:
        return ()
    response = client.request(
        f"{base}{_NATIVE_PATH}/groups/default/artifacts/{subject}/versions",
        method="POST",
        params={"dryRun": "true"},
        headers={"Content-Type": "application/json", "Accept": "application/json"},
        body={
            "content": {"content": json.dumps(schema), "contentType": "application/json", "references": []}
        },
    )
    causes = response.json().get("causes") or []
    return tuple(_reason(schema, cause["context"], cause["description"]) for cause in causes)


def _reason(schema: dict[str, Any], pointer: str, description: str) -> str:
    names = _field_names(schema, pointer)
    if names and description == names[-1]:
        description = "a new field needs a default"
    field = ".".join(names)
    return f"field {field} ({pointer}): {description}" if field else f"{pointer}: {description}"


def _field_names(schema: Any, pointer: str) -> list[str]:
    """Return the field names along a JSON pointer such as ``/fields/0/type/fields/2``."""
    names: list[str] = []
    node = schema
    for step in pointer.strip("/").split("/"):
        try:
            node = node[int(step)] if isinstance(node, list) else node[step]
        except (KeyError, IndexError, TypeError, ValueError):
            break
        if isinstance(node, dict) and "name" in node and step.isdigit():
            names.append(node["name"])
    return names
