"""The guide for teams: what people copy from it is accepted, and what it lists is what there is."""

from __future__ import annotations

import re

import yaml

from tables.aggregations.builds import MAX_BUILDS
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import Definition, parse_definition
from tables.aggregations.function import FunctionName
from tables.aggregations.schemas import derive_output_schema
from tables.aggregations.window import WindowKind
from tests.support.stack import ROOT
from tests.unit.aggregations.claims import SCHEMAS, a_document

GUIDE = (ROOT / "docs" / "aggregations.md").read_text()
EXAMPLE, WINDOWS = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL))


def test_the_example_is_right_for_the_claims_of_the_catalogue() -> None:
    """It is accepted, and its results have the fields that it names."""
    (entry,) = EXAMPLE
    definition = parse_definition({"version": 1, **entry})
    check_definition(definition, SCHEMAS)
    names = [field["name"] for field in derive_output_schema(definition, SCHEMAS)["fields"]]
    assert names[:2] == ["payer", "region"]
    assert {"claims", "charges", "large", "members", "spread"} <= set(names)


def test_the_example_and_the_table_name_every_field() -> None:
    """But for what is plain: who, and what for."""
    (entry,) = EXAMPLE
    told = set(entry) | set(re.findall(r"`(\w+)`", GUIDE))
    assert set(Definition.__struct_encode_fields__) - {"description"} <= told


def test_every_window_is_accepted() -> None:
    """One of each kind at least."""
    kinds = {parse_definition(a_document(windows=each)).windows.kind for each in WINDOWS}
    assert kinds == set(WindowKind)


def test_every_function_is_in_the_table() -> None:
    """With its error."""
    rows = [line.split("|")[1] for line in GUIDE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {each.value for each in FunctionName} <= named


def test_the_limit_of_builds_is_told() -> None:
    """As a number that is the platform's."""
    assert f"An aggregation has {({4: 'four'})[MAX_BUILDS]} builds at most" in GUIDE
