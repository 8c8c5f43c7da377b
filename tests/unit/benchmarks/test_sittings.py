"""A results file that grows case by case."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks import report, sittings
from benchmarks.measure import Rates
from benchmarks.report import Report, Sitting
from benchmarks.runs import Row, Run, row_of
from benchmarks.sittings import Found, begun, with_case
from fleet.errors import FatalError


def sitting(commit: str = "abc") -> Sitting:
    """Return how a case was measured."""
    return Sitting(commit=commit, date="2026-01-01T00:00:00+00:00", command="c", load_before=0.1, took_s=2.0)


def row(engine: str, case: str, per_s: float = 100.0) -> Row:
    """Return a row at this rate."""
    run = Run.of(Rates(1_000, 1_000 / per_s, 1_000 / per_s))
    return row_of(case=case, engine=engine, guarantee="exactly_once", events=1_000, runs=[run])


def fresh(*cases: str) -> Report:
    """Return the report of a run that is to measure `cases`."""
    return begun("bench", cases, Path("none.json"), merge=False)


def test_what_is_not_measured_yet_is_named() -> None:
    """A run that is cut off leaves the cases that it finished, and says which it did not."""
    found = with_case(
        fresh("keyed-sum", "tumbling"), "keyed-sum", Found(rows=[row("floor", "keyed-sum")]), sitting()
    )
    assert found.unfinished == ["tumbling"]
    assert [each.case for each in found.rows] == ["keyed-sum"]
    assert found.sittings == {"keyed-sum": sitting()}


def test_a_case_measured_again_replaces_all_of_it() -> None:
    """Engines that were not measured again go: the rows of a case are of one sitting."""
    first = [row("eventfleet", "keyed-sum", 100), row("floor", "keyed-sum", 50)]
    other = Found(rows=[row("eventfleet", "hopping")])
    before = with_case(
        with_case(fresh(), "keyed-sum", Found(rows=first), sitting()), "hopping", other, sitting()
    )
    found = with_case(before, "keyed-sum", Found(rows=[row("faust", "keyed-sum")]), sitting("def"))
    assert [(each.case, each.engine) for each in found.rows] == [
        ("keyed-sum", "faust"),
        ("hopping", "eventfleet"),
    ]
    assert {case: each.commit for case, each in found.sittings.items()} == {
        "keyed-sum": "def",
        "hopping": "abc",
    }
    assert before.ratios
    assert found.ratios == []


def test_ratios_and_goals_go_with_the_figures(tmp_path: Path) -> None:
    """They are of all cases in the file, from whatever sitting."""
    path = tmp_path / "engine.json"
    rows = [row("eventfleet", "keyed-sum", 100), row("floor", "keyed-sum", 50)]
    report.write(with_case(fresh(), "keyed-sum", Found(rows=rows), sitting()), path)
    again = begun("bench --merge", ["route-fields"], path, merge=True)
    found = with_case(again, "route-fields", Found(rows=[row("eventfleet", "route-fields")]), sitting())
    assert [each.case for each in found.rows] == ["route-fields", "keyed-sum", "keyed-sum"]
    assert [ratio.per_cpu_s for ratio in found.ratios] == [2.0]
    assert [goal.met for goal in found.goals] == [True]
    assert list(found.sittings) == ["route-fields", "keyed-sum"]


def test_without_merge_the_file_is_begun_anew(tmp_path: Path) -> None:
    """Whatever is in it, even if that cannot be read."""
    path = tmp_path / "engine.json"
    path.write_text("{")
    assert begun("bench", ["growth"], path, merge=False).rows == []
    with pytest.raises(FatalError, match="no results file"):
        begun("bench", ["growth"], path, merge=True)


@pytest.mark.parametrize(("field", "changed"), [("machine", {"cores": 64}), ("versions", {"kafka": "1.0"})])
def test_figures_that_cannot_be_compared_are_not_merged(
    tmp_path: Path, field: str, changed: dict[str, object]
) -> None:
    """Those of another machine, or of other versions of what is measured."""
    path = tmp_path / "engine.json"
    theirs = fresh()
    report.write(msgspec.structs.replace(theirs, **{field: {**getattr(theirs, field), **changed}}), path)
    with pytest.raises(FatalError, match="was measured with"):
        begun("bench", [], path, merge=True)


def test_merging_into_nothing_begins_a_file(tmp_path: Path) -> None:
    """So that the first sitting needs no other command."""
    assert begun("bench", ["growth"], tmp_path / "none.json", merge=True).unfinished == ["growth"]


def test_a_tree_without_history_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source archive can be measured too."""
    assert sittings.commit()
    monkeypatch.setattr(sittings, "ROOT", tmp_path)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    assert sittings.commit() == sittings.UNKNOWN_COMMIT
