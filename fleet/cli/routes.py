"""``eventfleet routes``: read and change the routing rules, live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import yaml
from rich.table import Table

from agents.router.domain.routing import RuleSet
from fleet.cli.people import new_console
from fleet.errors import FatalError
from fleet.lane.config import LaneConfig
from fleet.settings import settings
from tables.config_writer import change, read_rows
from tables.routes.errors import RuleError
from tables.routes.rule import Rule, parse_rule

TOPIC = "fleet.config.routes"

app = typer.Typer(no_args_is_help=True)
console = new_console()


@app.command("list")
def list_rules() -> None:
    """List the rules as they stand in the table."""
    rows = asyncio.run(read_rows(LaneConfig.of(settings()), TOPIC))
    table = Table("rule", "version", "state", "owner", "source", "condition", "targets")
    for name, value in sorted(rows.items()):
        try:
            rule = parse_rule(value)
        except RuleError as error:
            table.add_row(name, "", "refused", "", "", str(error), "")
        else:
            table.add_row(*_cells(rule))
    console.print(table)


@app.command("apply")
def apply_file(
    path: Annotated[
        Path, typer.Argument(help="YAML file with a list of rules.", exists=True, dir_okay=False)
    ],
) -> None:
    """Create or change the rules of a YAML file; a rule that is the same already is left alone.

    Versions count up by themselves. Nothing is changed if any rule is refused.
    """
    for name, version in apply_rules(load(path)).items():
        console.print(f"{name}: {version}")


@app.command()
def delete(name: Annotated[str, typer.Argument(help="Name of the rule.")]) -> None:
    """Delete a rule."""

    def decide(rows: Mapping[str, bytes]) -> dict[str, bytes | None]:
        if name not in rows:
            raise FatalError(f"no rule {name!r}", hint="see `eventfleet routes list`")
        return {name: None}

    asyncio.run(change(LaneConfig.of(settings()), TOPIC, decide))
    console.print(f"{name}: deleted")


def load(path: Path) -> list[dict[str, Any]]:
    """Return the rules of a YAML file.

    Raises:
        FatalError: The file is not a list of rules.
        RuleError: A rule is refused; names rule, field, position and reason.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise FatalError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, list):
        raise FatalError(f"{path} must hold a list of rules")
    # As a set too: the second of two rules of one name would silently win.
    RuleSet.of(parse_rule({"version": 1, **each} if isinstance(each, dict) else each) for each in found)
    return found


def apply_rules(wanted: list[dict[str, Any]]) -> dict[str, str]:
    """Write the rules that differ from the table's, each as the next version of its name.

    Returns:
        What became of each rule: ``version 3`` or ``unchanged (version 2)``.
    """
    outcome: dict[str, str] = {}

    def decide(rows: Mapping[str, bytes]) -> dict[str, bytes | None]:
        changed = changes(wanted, rows)
        for each in wanted:
            name = str(each["name"])
            rule = parse_rule(changed.get(name) or rows[name])
            outcome[name] = (
                f"version {rule.version}" if name in changed else f"unchanged (version {rule.version})"
            )
        return dict(changed)

    asyncio.run(change(LaneConfig.of(settings()), TOPIC, decide))
    return outcome


def changes(wanted: list[dict[str, Any]], rows: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the new rows of the rules that differ from the table's `rows`.

    Raises:
        RuleError: A rule is refused.
    """
    changed: dict[str, bytes] = {}
    for each in wanted:
        name = str(each["name"])
        row = rows.get(name)
        rule = parse_rule({**each, "version": _version(row) + 1})
        before = _before(row)
        if before is None or not _same(before, rule):
            changed[name] = encode(rule)
    return changed


def encode(rule: Rule) -> bytes:
    """Return a rule as the value of its row."""
    return orjson.dumps(_plain(rule))


def _plain(rule: Rule) -> dict[str, Any]:
    fields = {name: getattr(rule, name) for name in rule.__struct_fields__}
    return {**fields, "state": rule.state.value, "targets": list(rule.targets)}


def _before(value: bytes | None) -> Rule | None:
    if value is None:
        return None
    try:
        return parse_rule(value)
    except RuleError:
        return None


def _version(value: bytes | None) -> int:
    """Return the version in a row, also of one that is refused: no version may mean two rules."""
    try:
        version = orjson.loads(value or b"{}")["version"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) and version > 0 else 0


def _same(left: Rule, right: Rule) -> bool:
    return {**_plain(left), "version": 0} == {**_plain(right), "version": 0}


def _cells(rule: Rule) -> list[str]:
    return [
        rule.name,
        str(rule.version),
        rule.state.value,
        rule.owner,
        rule.source,
        rule.condition,
        ", ".join(rule.targets),
    ]
