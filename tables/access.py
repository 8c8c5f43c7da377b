"""Who may do what: deny by default, roles within a team, admins everywhere."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from tables.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Collection


class Role(StrEnum):
    """What a key, or a person, is allowed in its team; an admin is allowed everything in every team."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    OWNER = "owner"
    STEWARD = "steward"
    AUDITOR = "auditor"
    ADMIN = "admin"


READERS: Final = frozenset(Role)
"""May read definitions, of every team."""

EDITORS: Final = frozenset({Role.DEVELOPER, Role.OWNER})
"""May change the definitions of their team."""

KEEPERS: Final = frozenset({Role.OWNER, Role.STEWARD})
"""May look into dead letters and act on them."""

AUDITORS: Final = frozenset({Role.AUDITOR})
"""May read who did what."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, as the audit names them.

    Attributes:
        id: ``key:<id>`` of an API key, ``cli:<user>`` of the command line, ``platform:<agent>`` of an agent.
        team: The team it acts for.
        roles: Its roles in that team.
    """

    id: str
    team: str
    roles: tuple[Role, ...] = ()

    def require(self, roles: Collection[Role], what: str, *, team: str | None = None) -> None:
        """Check that it has one of `roles`, within `team` where one is named, or is an admin.

        Args:
            roles: Roles of which one is enough.
            what: What it wants to do, for people: ``change rule 'x'``.
            team: The team that answers for it; None where any will do.

        Raises:
            ForbiddenError: It is not allowed; says what is missing.
        """
        if Role.ADMIN in self.roles:
            return
        if set(self.roles) & set(roles) and team in (None, self.team):
            return
        of_team = f" of team {team}" if team else ""
        named = [f"{' or '.join(sorted(roles))}{of_team}"] if roles else []
        hint = f"it needs the role {', or '.join([*named, Role.ADMIN])}"
        raise ForbiddenError(f"{self.id} of team {self.team} may not {what}", hint=hint)


def platform_actor(agent: str) -> Actor:
    """Return who an agent acts as, where it changes by itself what people defined."""
    return Actor(id=f"platform:{agent}", team="platform", roles=(Role.ADMIN,))
