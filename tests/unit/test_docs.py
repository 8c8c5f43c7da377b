"""The documents hold together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet import native
from fleet.lane import metrics
from fleet.settings import Settings
from tests.support.stack import ROOT

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("agents/*/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file that is there."""
    links = LINK.findall(document.read_text())
    assert [link for link in links if "NNNN" not in link and not (document.parent / link).exists()] == []


def test_the_engine_names_settings_and_metrics_that_exist() -> None:
    """What the description of the engine tells people to set or to watch is there."""
    text = (ROOT / "docs" / "engine.md").read_text()
    named = set(re.findall(r"EVENTFLEET_[A-Z_]+", text)) - {native.VARIABLE}
    settings = {name.removeprefix("EVENTFLEET_").lower() for name in named}
    assert settings
    assert settings <= set(Settings.model_fields)
    watched = set(re.findall(r"fleet_lane_[a-z_]+", text))
    known = {name for each in vars(metrics).values() if (name := getattr(each, "_name", None))}
    assert watched
    assert watched <= known
