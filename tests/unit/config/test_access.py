"""Roles: what each may do, within its team and beyond."""

from __future__ import annotations

import pytest

from tables.access import AUDITORS, EDITORS, KEEPERS, READERS, Actor, Role
from tables.errors import ForbiddenError


def actor(*roles: Role) -> Actor:
    """Return somebody of team finance."""
    return Actor(id="key:1", team="finance", roles=roles)


def may(who: Actor, roles: frozenset[Role], team: str | None = None) -> bool:
    """Tell whether `who` is let through."""
    try:
        who.require(roles, "do it", team=team)
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_is_its_own(role: Role) -> None:
    """All read; developers and owners edit, owners and stewards keep, auditors audit, admins do all."""
    who = actor(role)
    assert may(who, READERS)
    assert may(who, EDITORS, "finance") == (role in (Role.DEVELOPER, Role.OWNER, Role.ADMIN))
    assert may(who, KEEPERS, "finance") == (role in (Role.OWNER, Role.STEWARD, Role.ADMIN))
    assert may(who, AUDITORS) == (role in (Role.AUDITOR, Role.ADMIN))
    assert may(who, frozenset()) == (role is Role.ADMIN)


@pytest.mark.parametrize("role", Role)
def test_only_an_admin_acts_for_another_team(role: Role) -> None:
    """A role is one within the team."""
    assert may(actor(role), EDITORS, "fraud") == (role is Role.ADMIN)


def test_without_a_role_nothing_is_allowed() -> None:
    """Deny by default."""
    assert not may(actor(), READERS)


def test_a_refusal_says_what_is_missing() -> None:
    """Who, what, and which role of which team would do."""
    with pytest.raises(ForbiddenError) as caught:
        actor(Role.VIEWER).require(EDITORS, "change rule 'x'", team="fraud")
    assert str(caught.value) == (
        "key:1 of team finance may not change rule 'x': it needs the role developer or owner of team fraud, "
        "or admin"
    )
    with pytest.raises(ForbiddenError) as caught:
        actor(Role.VIEWER).require((), "make API keys")
    assert str(caught.value).endswith("it needs the role admin")
