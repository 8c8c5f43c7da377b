"""What a run shows a person at its end."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleet.cli.run.aggregates import BY_DAY, BY_PROVIDER
from fleet.cli.run.outcome import Outcome
from fleet.settings import Settings


def show(console: Console, outcome: Outcome, config: Settings, *, token: str) -> None:
    """Print the figures, whether they reconcile, and where to look further.

    Args:
        console: Where to.
        outcome: The figures.
        config: Where the parts are.
        token: A key to the API; empty where the run ends and there is nothing to look at any more.
    """
    console.print(_figures(outcome))
    console.print(_providers(outcome))
    console.print(_checks(outcome))
    if token:
        _look_further(console, outcome, config, token)


def _figures(outcome: Outcome) -> Table:
    table = Table("what", "count", title="What happened")
    table.columns[1].justify = "right"
    table.add_row("raw files published", f"{outcome.files:,}")
    table.add_row("claims in them (independent count)", f"{outcome.claims:,}")
    table.add_row("canonical claim events", f"{outcome.canonical:,}")
    for (agent, reason), count in sorted(outcome.dead_letters.items()):
        table.add_row(f"dead letters of the {agent}: {reason}", f"{count:,}")
    for topic, count in sorted(outcome.routed.items()):
        table.add_row(f"routed to {topic}", f"{count:,}")
    table.add_row("matched by no rule", f"{outcome.unmatched:,}")
    table.add_row("late (after their day had closed)", f"{outcome.late:,}")
    table.add_row("charges in the files, US dollars", f"{outcome.charges:,.2f}")
    table.add_row("claims a second, file to aggregate", f"{outcome.claims_per_s:,.0f}")
    return table


def _providers(outcome: Outcome) -> Table:
    table = Table(
        "provider (NPI)", "claims", "charges, US dollars", title="Top billing providers, of all time"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for row in outcome.top:
        table.add_row(row["provider"], f"{row['claims']:,}", f"{float(row['charges']):,.2f}")
    return table


def _checks(outcome: Outcome) -> Table:
    table = Table("must be equal", "expected", "found", "", title="Reconciliation of this run")
    for column in table.columns[1:3]:
        column.justify = "right"
    for check in outcome.checks:
        verdict = Text("ok", style="green") if check.holds else Text("DIFFERS", style="bold red")
        table.add_row(check.name, f"{check.expected:,}", f"{check.found:,}", verdict)
    return table


def _look_further(console: Console, outcome: Outcome, config: Settings, token: str) -> None:
    base = f"http://{config.host}"
    door = f"{base}:{config.gateway_port}/v1"
    key = f"curl -H 'Authorization: Bearer {token}'"
    provider = outcome.top[0]["provider"] if outcome.top else "NPI"
    by_provider, by_day = f"{door}/aggregates/{BY_PROVIDER}", f"{door}/aggregates/{BY_DAY}"
    lines = {
        "everything at a glance": f"{base}:{config.gateway_port}/",
        "one provider's days": f"{key} '{by_day}/keys?provider={provider}'",
        "all providers, as CSV": f"{key} -H 'Accept: text/csv' '{by_provider}/windows/all?limit=1000'",
        "top providers": f"{key} '{by_provider}/windows/all/top?by=charges&n=5'",
        "how an aggregation stands": f"{key} '{by_day}'",
        "changes as they come": f"{key} -N '{by_day}/changes'",
        "aggregations over HTTP": f"{key} '{door}/aggregations'",
        "change one while it runs": "eventfleet aggregations apply agents/aggregator/aggregations.yaml",
        "Faust's own table views": f"curl '{base}:{config.aggregator_port}/table/'",
        "active rules": f"curl '{base}:{config.router_port}/routes'",
        "events by rule": f"curl '{base}:{config.router_port}/routed'",
        "tasks of a worker": f"curl '{base}:{config.normalizer_port}/lane'",
        "dead letters": "eventfleet dead-letters list",
        "change a rule while it runs": "eventfleet routes apply agents/router/rules.yaml",
        "rules over HTTP": f"{key} '{door}/routes'",
    }
    console.print("\nLook further (Ctrl-C ends everything):")
    for what, line in lines.items():
        console.print(f"  {what:28} {line}", highlight=False, soft_wrap=True)
