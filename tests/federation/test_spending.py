"""What past studies have cost is what the nodes' ledgers charged for them, and what open ones reserved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from federation_of import EIGHT
from safeborders_fed.cli import main
from safeborders_fed.coordinator import drafting
from safeborders_fed.coordinator.spending import Spent, past, spending
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study.budget import Past
from study_life import OPERATOR, Life

NOW = datetime.now(UTC)
TODAY = NOW.date()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life.begin(tmp_path)
    yield found
    for node in found.nodes.values():
        node._ledger.close()
        node._audit_log.close()


def test_an_ended_study_cost_what_ledgers_charged_retries_among_it(life: Life) -> None:
    life.ready()
    calls = life.calls

    def before(number: int) -> None:
        if number == calls + 6:  # the third attempt: FI falls silent, and the others are asked again
            life.silent = {"FI"}

    life.before = before
    life.conduct()
    (entry,) = spending(life.home, TODAY)
    assert (entry.study, entry.state, entry.year) == ("study-1", "finished", TODAY.year)
    charged = [life.spent(node) for node in EIGHT if node != "FI"]
    assert entry.rho == pytest.approx(max(charged))
    assert life.files().manifest().rho > entry.rho


def test_open_studies_count_with_all_they_may_cost_and_drafts_with_nothing(life: Life) -> None:
    manifest = life.draft()
    assert spending(life.home, TODAY) == ()
    life.publish(manifest)
    assert spending(life.home, TODAY) == (Spent("study-1", "published", manifest.rho, None),)
    assert spending(life.home, manifest.expires + timedelta(days=1)) == ()
    life.offer()
    life.approve(manifest)
    calls = life.calls

    def before(number: int) -> None:
        if number == calls + 5:
            raise KeyboardInterrupt  # the coordinator is stopped in the middle of a run

    life.before = before
    with pytest.raises(KeyboardInterrupt):
        life.conduct()
    assert spending(life.home, TODAY) == (Spent("study-1", "running", manifest.rho, None),)
    assert 0 < life.spent("BE") < manifest.rho


def test_a_study_withdrawn_before_it_asked_anything_cost_nothing(life: Life) -> None:
    life.ready()
    drafting.withdraw(life.home, "study-1", by=OPERATOR, why="not now")
    assert spending(life.home, TODAY) == ()


def test_looking_writes_nothing(life: Life) -> None:
    life.publish(life.draft())
    before = sorted(life.files().path.rglob("*"))
    spending(life.home, TODAY)
    assert sorted(life.files().path.rglob("*")) == before


def test_a_study_of_another_version_counts_whole_and_a_damaged_one_stops_the_sum(life: Life) -> None:
    life.ready()
    life.conduct()
    manifest = life.files().manifest()
    path = life.files().path
    (path / "published.json").unlink()
    draft = path / "draft.json"
    whole = draft.read_bytes()
    draft.write_bytes(whole.replace(b'"schema_version":2', b'"schema_version":1'))
    (entry,) = spending(life.home, TODAY)
    assert entry == Spent("study-1", "finished", manifest.rho, TODAY.year)
    draft.write_bytes(b"{}")
    with pytest.raises(ConfigurationError) as error:
        spending(life.home, TODAY)
    assert error.value.code == "study-damaged"


def test_a_year_holds_what_ended_in_it_and_what_is_open_now() -> None:
    entries = (
        Spent("a", "finished", 0.1, 2026),
        Spent("b", "finished", 0.2, 2027),
        Spent("c", "running", 0.4, None),
    )
    today = date(2027, 3, 1)
    assert past(entries, 2027, today) == Past(pytest.approx(0.6), pytest.approx(0.7))
    assert past(entries, 2028, today) == Past(0.0, pytest.approx(0.7))


PLAN = """
year = {year}
participants = ["BE", "BG", "FI", "GR"]

[caps]
epsilon_per_year = {epsilon}

[[studies]]
name = "tables"
analysis = "trends"
parameters = {{ first_year = 2018, last_year = 2026 }}
epsilon = 0.5
times = 4
"""


def test_the_command_shows_what_a_year_costs_and_refuses_one_that_does_not_fit(
    life: Life, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life.publish(life.draft(rho=0.01))
    plan = tmp_path / "plan.toml"
    command = ["coordinator", "study", "draft", "--plan", str(plan), "--home", str(life.home.path)]
    for epsilon, code in ((2.2, 0), (0.8, 5)):
        plan.write_text(PLAN.format(year=NOW.year + 1, epsilon=epsilon), encoding="utf-8")
        capsys.readouterr()
        assert main.run(command) == code
        read = capsys.readouterr()
        assert "rho 0.00000 in" in read.out
        assert "0.01000 ever, by 1 study of this coordinator (study-1 still open" in read.out
        assert ("plan-exceeds-caps" in read.err) == (code == 5)
        assert main.run([*command, "--json"]) == code
        (line,) = capsys.readouterr().out.splitlines()
        assert ('"code": "plan-exceeds-caps"' in line) == (code == 5)
    assert [path.name for path in (life.home.path / "studies").iterdir()] == ["study-1"]
    assert "'tables' on" in read.err
    assert "(quarter 3)" in read.err


def test_without_a_plan_a_draft_needs_its_terms(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["coordinator", "study", "draft", "tables", "--home", str(life.home.path)]
    assert main.run(command) == 2
    assert "a draft needs --epsilon" in capsys.readouterr().err
    assert main.run([*command, "--plan", str(life.directory / "none.toml")]) == 2
    assert "a plan drafts nothing" in capsys.readouterr().err
    command.remove("tables")
    assert main.run([*command, "--plan", str(life.directory / "none.toml")]) == 4
    assert "[plan-missing]" in capsys.readouterr().err
