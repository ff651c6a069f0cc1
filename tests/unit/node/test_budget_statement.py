"""What people see of the budget without the ledger is what the ledger says."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.errors import ConfigurationError, RefusedError, SafeBordersError
from safeborders_fed.node import budget_statement, layout
from safeborders_fed.node.budget_statement import StatedBudget, Statement, made_from, read, state
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.handshake import Head

CAPS = Caps(1.0, 2.0, 3.0)
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> NodeSettings:
    directory = tmp_path_factory.mktemp("node")
    return create_node(directory / "BE", "BE", directory / "BE.key", 1234)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", CAPS, lambda: NOW)) as made:
        yield made


@pytest.fixture(autouse=True)
def _fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_statement, "now", lambda: NOW)


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except SafeBordersError as error:
        return str(error)


def stated(settings_: NodeSettings, ledger: Ledger) -> StatedBudget:
    made = made_from(settings_, ledger)
    again = Statement.model_validate_json(made.model_dump_json())
    assert again == made
    return StatedBudget(again, CAPS, lambda: NOW)


STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "spend", "end", "dispute"]), st.integers(1, 4)), max_size=14
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_every_question_gets_the_ledgers_own_answer(
    node: NodeSettings, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    directory = tmp_path_factory.mktemp("ledger")
    with closing(Ledger(directory / "ledger.sqlite", CAPS, lambda: NOW)) as ledger:
        for count, (kind, number) in enumerate(steps):
            study = f"study-{number}"
            match kind:
                case "reserve":
                    outcome(lambda study=study, number=number: ledger.reserve(study, "a" * 64, number / 8))
                case "spend":
                    key = (study, 1, count + 1)
                    outcome(lambda key=key, number=number: ledger.spend(key, "b" * 64, b"x", number / 16))
                case "end":
                    ledger.end(study)
                case _:
                    ledger.witnesses.dispute("FI", Head(entries=number, value="c" * 64))
        budget = stated(node, ledger)
        assert budget.totals() == ledger.totals()
        assert budget.totals(year=2026).spent == ledger.totals(year=2026).spent
        assert budget.totals(year=2027).spent == ledger.totals(year=2027).spent == 0
        assert budget.studies() == ledger.studies()
        assert budget.head() == ledger.head()
        assert budget.witnesses.disputes() == ledger.witnesses.disputes()
        assert budget.witnesses.disputes_hash() == ledger.witnesses.disputes_hash()
        for number in range(6):
            own, other = ledger.reservation(f"study-{number}"), budget.reservation(f"study-{number}")
            assert own == other
        for rho in (0.01, 0.5, 1.0, 1.01, 2.5):
            asked = [outcome(lambda of=of, rho=rho: of.require_budget("new", rho)) for of in (ledger, budget)]
            assert asked[0] == asked[1]


def test_it_holds_nothing_of_contributions_and_no_salt(node: NodeSettings, ledger: Ledger) -> None:
    ledger.reserve("study-1", "a" * 64, 0.5)
    ledger.spend(("study-1", 1, 1), "b" * 64, b"a contribution", 0.25)
    text = made_from(node, ledger).model_dump_json()
    salts = [json.loads(row[0])["salt"] for row in ledger._db.execute("SELECT content FROM entry")]
    assert len(salts) == 2
    assert not [secret for secret in (*salts, "a contribution", "b" * 64) if secret in text]


def test_it_is_written_where_roles_are_set_and_only_when_something_changed(
    tmp_path: Path, ledger: Ledger
) -> None:
    node = create_node(tmp_path / "BE", "BE", tmp_path / "BE.key", 1000)
    path = node.home / layout.BUDGET
    assert not state(node, ledger)
    assert not path.exists()
    node.home.chmod(0o2710)
    assert state(node, ledger)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not state(node, ledger)
    keeper = budget_statement.Stated(node, ledger)
    keeper.keep_up()
    before = path.stat().st_mtime_ns
    keeper.keep_up()
    assert path.stat().st_mtime_ns == before
    ledger.reserve("study-1", "a" * 64, 0.5)
    keeper.keep_up()
    assert read(node.home).reserved == 0.5
    path.unlink()
    keeper.keep_up()
    assert read(node.home).reserved == 0.5
    path.write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match="budget-statement-damaged"):
        read(node.home)
    assert state(node, ledger)


def test_a_service_goes_on_when_it_cannot_be_written(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = create_node(tmp_path / "BE", "BE", tmp_path / "BE.key", 1000)
    node.home.chmod(0o2710)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(budget_statement.durable, "replace", full)
        keeper = budget_statement.Stated(node, ledger)
        keeper.keep_up()
    assert "old budget" in caplog.text
    keeper.keep_up()
    assert read(node.home).node == "BE"


def test_without_a_statement_people_are_told_who_writes_it(node: NodeSettings) -> None:
    with pytest.raises(ConfigurationError, match="budget-not-stated") as caught:
        read(node.home)
    assert "ask the operator" in caught.value.fix


def test_what_changes_the_ledger_needs_the_ledger(node: NodeSettings, ledger: Ledger) -> None:
    assert budget_statement.own_ledger(ledger) is ledger
    with pytest.raises(RefusedError, match="role-missing"):
        budget_statement.own_ledger(stated(node, ledger))
