"""``eventfleet routes``: read and change the routing rules, live."""

from __future__ import annotations

from fleet.cli.definitions import Commands
from tables.routes.kind import Routes, parse

COMMANDS = Commands(
    noun=Routes.noun,
    of=lambda services: services.routes,
    parse=parse,
    columns={
        "source": lambda rule: str(rule["source"]),
        "condition": lambda rule: str(rule["condition"]),
        "targets": lambda rule: ", ".join(rule["targets"]),
    },
    when_active="route",
)

app = COMMANDS.app()
