"""API keys: shown once, kept as the hash of their secret, known to every process as they change."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from fleet.errors import TransientError
from fleet.lane.bounded import bounded
from fleet.lane.errors import Lost
from tables.access import Actor, Role
from tables.config import ConfigTable
from tables.config_log import ConfigLog, Write
from tables.errors import InvalidInputError, NotFoundError, UnauthenticatedError

if TYPE_CHECKING:
    from fleet.lane.config import LaneConfig
    from tables.log import View

log = logging.getLogger(__name__)

TOPIC: Final = "fleet.config.keys"
AUDIT: Final = "fleet.audit.keys"
READY_LIMIT_S: Final = 5.0
_TOKEN: Final = re.compile(r"^ef_(?P<id>[a-z0-9-]{1,64})_(?P<secret>[A-Za-z0-9_-]{43})\Z")
_NOBODY: Final = "0" * 64

_Team = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}\Z")]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One API key, the value of its id in ``fleet.config.keys``.

    Attributes:
        id: First part of the key, for people and logs.
        version: Counts up by one with every change.
        team: Team that it acts for.
        roles: Its roles in that team.
        secret_sha256: SHA-256 of its secret, 32 random bytes.
        state: Whether it opens anything.
        created_at: When its secret was made, RFC 3339.
        description: What it is for.
    """

    id: _Id
    version: int
    team: _Team
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    secret_sha256: str
    state: Literal["active", "revoked"] = "active"
    created_at: str = ""
    description: Annotated[str, msgspec.Meta(max_length=200)] = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key: `token` is nowhere else, and cannot be had again."""

    key: Key
    token: str


class Keys:
    """The API keys of the platform.

    Args:
        config: How to reach Kafka.
    """

    def __init__(self, config: LaneConfig) -> None:
        self.log = ConfigLog(config, TOPIC, AUDIT)
        self._live: ConfigTable[Mapping[str, Key | None]] = ConfigTable(config, TOPIC, _live, _all)

    async def issue(
        self,
        team: str,
        roles: Sequence[Role],
        actor: Actor,
        *,
        description: str = "",
        key_id: str = "",
    ) -> Issued:
        """Make a key; one with the id of another takes its place, and the older secret opens nothing more.

        Args:
            team: Team that it acts for.
            roles: Its roles in that team, at least one.
            actor: Who makes it, an admin.
            description: What it is for.
            key_id: Its id; made up by default.

        Raises:
            ForbiddenError: The actor may not.
            InvalidInputError: Team, roles or id are no such.
            TransientError: Kafka does not answer.
        """
        actor.require((), "make API keys")
        secret = secrets.token_urlsafe(32)
        row: dict[str, Any] = {
            "id": key_id or secrets.token_hex(4),
            "team": team,
            "roles": list(roles),
            "secret_sha256": _hash(secret),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "description": description,
        }

        async def decide(view: View) -> list[Write]:
            before = _known(view, row["id"])
            made = _checked({**row, "version": before.version + 1 if before else 1})
            action = "replace" if before else "create"
            return [Write(name=made.id, action=action, after=msgspec.to_builtins(made))]

        changed = await self.log.change(decide, actor, description)
        key = _checked(changed.writes[0].after)
        return Issued(key, f"ef_{key.id}_{secret}")

    async def revoke(self, key_id: str, actor: Actor, reason: str = "") -> Key:
        """Let a key open nothing more, within two seconds everywhere.

        Raises:
            ForbiddenError: The actor may not.
            NotFoundError: There is no such key.
            TransientError: Kafka does not answer.
        """
        actor.require((), "revoke API keys")

        async def decide(view: View) -> list[Write]:
            found = _known(view, key_id)
            if found is None:
                raise NotFoundError(f"no key {key_id!r}", hint="see `eventfleet keys list`")
            if found.state == "revoked":
                return []
            made = msgspec.structs.replace(found, state="revoked", version=found.version + 1)
            return [Write(name=key_id, action="revoke", after=msgspec.to_builtins(made))]

        await self.log.change(decide, actor, reason)
        return next(key for key in await self.all() if key.id == key_id)

    async def all(self) -> list[Key]:
        """Return the keys, in the order of their ids; rows that are none are left out."""
        view = await self.log.view()
        found = (_known(view, name) for name in sorted(view.rows))
        return [key for key in found if key is not None]

    async def authenticate(self, token: str) -> Actor:
        """Return who a key stands for.

        Raises:
            UnauthenticatedError: It is no key, or opens nothing more.
            TransientError: The keys cannot be read yet.
        """
        try:
            await bounded(self._live.ready(), READY_LIMIT_S, "reading the API keys")
        except Lost as error:
            raise TransientError("the API keys cannot be read yet", hint="is Kafka up? try again") from error
        parts = _TOKEN.match(token)
        key = self._live.snapshot().get(parts["id"]) if parts else None
        # As long a comparison where there is no such key, so that time tells nobody which ids there are.
        secret, expected = (parts["secret"] if parts else ""), (key.secret_sha256 if key else _NOBODY)
        fits = hmac.compare_digest(_hash(secret), expected)
        if key is None or not fits or key.state != "active":
            hint = "ask an admin for another: `eventfleet keys create`"
            raise UnauthenticatedError("the API key is unknown, wrong or revoked", hint=hint)
        return Actor(id=f"key:{key.id}", team=key.team, roles=key.roles)

    async def stop(self) -> None:
        """Close all connections."""
        await self._live.stop()
        await self.log.stop()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _parse(name: str, value: bytes) -> Key:
    key = _checked(msgspec.json.decode(value))
    if key.id != name:
        raise InvalidInputError(f"key {key.id!r} is in the row of {name!r}", field="id")
    return key


def _checked(row: Mapping[str, Any]) -> Key:
    try:
        return msgspec.convert(row, Key)
    except msgspec.ValidationError as error:
        message = str(error).replace("`", "")
        raise InvalidInputError(f"key: {message}", hint=f"roles are {', '.join(Role)}") from None


def _live(name: str, value: bytes) -> Key | None:
    """Return the key in a row; a row that is refused opens nothing, where a rule would stay as it was."""
    try:
        return _parse(name, value)
    except (InvalidInputError, msgspec.DecodeError) as error:
        log.warning("the row of key %s is refused, it opens nothing: %s", name, error)
        return None


def _all(rows: Mapping[str, Any], offset: int) -> Mapping[str, Key | None]:
    del offset
    return dict(rows)


def _known(view: View, name: str) -> Key | None:
    if name not in view.rows:
        return None
    try:
        return _parse(name, view.rows[name].value)
    except (InvalidInputError, msgspec.DecodeError):
        return None
