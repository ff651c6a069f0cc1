"""A year of studies: what it costs is what drafts cost, and what does not fit is named."""

from __future__ import annotations

import contextlib
import copy
import math
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from federation_of import EIGHT, ROOT
from safeborders_fed.cases.contract import features
from safeborders_fed.cli import plan_text
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.privacy.accounting import epsilon, rho_for
from safeborders_fed.study.budget import COUNT, Outlook, Past, costs, drafted, limits, outlook, spread
from safeborders_fed.study.budget_plan import (
    RHO_PER_COUNT,
    Plan,
    PlannedCaps,
    PlannedStudy,
    checked,
    load,
)
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.expected import expected

NOTHING = Past(0.0, 0.0)
NOT_FEATURES = {"forms_of_exploitation", "country_of_exploitation"}
"""The target of the example, and the state itself."""
BEFORE = date(2026, 12, 1)
TABLES = """
[[studies]]
name = "tables"
analysis = "trends"
parameters = { first_year = 2018, last_year = 2026 }
epsilon = 0.5
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def plan(directory: Path, text: str = TABLES, head: str = "year = 2027\n") -> Plan:
    return load(written(directory, head + text))


def seen(made: Plan, past: Past = NOTHING, today: date = BEFORE) -> Outlook:
    return outlook(made, costs(made, EIGHT), past, today)


def test_a_planned_study_costs_what_its_draft_costs(tmp_path: Path) -> None:
    made = plan(tmp_path, f"{TABLES}retries = 3\ntimes = 4\n")
    tables, counts = costs(made, EIGHT)
    wish = Wish(
        id="tables",
        purpose="tables",
        legal_basis="a law",
        analysis="trends",
        parameters={"first_year": 2018, "last_year": 2026},
        participants=EIGHT,
        roster_hash="1" * 64,
        rho=rho_for(0.5, 1e-6),
        delta=1e-6,
        expires=date(2027, 1, 1),
        max_victims=2_000_000,
        retries=3,
    )
    manifest = draft(wish)
    assert tables.rho == manifest.rho
    assert tables.rho_without_retries == manifest.stages[0].rho == pytest.approx(manifest.rho / 4)
    assert (counts.study, len(counts.days), counts.rho) == (COUNT, 4, RHO_PER_COUNT)
    found = seen(made)
    assert found.rho == pytest.approx(4 * manifest.rho + 4 * RHO_PER_COUNT)
    assert found.quarters[-1].year == pytest.approx(found.rho)
    assert [entry.studies for entry in found.quarters] == [("tables", COUNT)] * 4


def test_a_count_costs_what_its_noise_costs() -> None:
    assert pytest.approx(1 / (2 * 20**2)) == RHO_PER_COUNT


def test_counts_are_drawn_for_each_population_and_quarter_unless_the_plan_says_otherwise(
    tmp_path: Path,
) -> None:
    minors = TABLES.replace("tables", "minors").replace("2026 }", '2026, population = "minors" }')
    assert plan(tmp_path, TABLES + minors).counts == 8
    assert plan(tmp_path, TABLES + minors, "year = 2027\ncounts_per_year = 3\n").counts == 3
    none = plan(tmp_path, TABLES, "year = 2027\ncounts_per_year = 0\n")
    assert [cost.study for cost in costs(none, EIGHT)] == ["tables"]


@pytest.mark.parametrize(
    ("times", "days"),
    [
        (1, [(7, 2)]),
        (2, [(4, 2), (10, 1)]),
        (4, [(2, 15), (5, 17), (8, 17), (11, 16)]),
    ],
)
def test_times_are_spread_over_the_year(times: int, days: list[tuple[int, int]]) -> None:
    assert [(day.month, day.day) for day in spread(2027, times)] == days
    assert len({day for day in spread(2028, 366) if day.year == 2028}) == 366


def test_the_first_study_over_each_cap_is_named_with_its_quarter(tmp_path: Path) -> None:
    head = "year = 2027\ncounts_per_year = 0\n[caps]\nepsilon_per_year = 0.8\nepsilon_lifetime = 1.0\n"
    found = seen(plan(tmp_path, f"{TABLES}times = 4\n", head))
    assert [(entry.cap, entry.study, entry.quarter) for entry in found.exceeded] == [
        ("year", "tables", 3),
        ("lifetime", "tables", 4),
    ]
    error = found.exceeded[0].error()
    assert (error.code, error.exit_code) == ("plan-exceeds-caps", 5)
    assert "'tables' on 2027-08-17 (quarter 3)" in error.cause
    assert found.repeatable == 0
    large = seen(plan(tmp_path, TABLES, "year = 2027\n[caps]\nepsilon_per_study = 0.4\n"))
    assert [(entry.cap, entry.quarter) for entry in large.exceeded] == [("study", 3)]


def test_what_was_spent_before_takes_room_and_days_that_are_past_do_not(tmp_path: Path) -> None:
    made = plan(tmp_path, f"{TABLES}times = 4\n", "year = 2027\ncounts_per_year = 0\n")
    each = rho_for(0.5, 1e-6)
    full = limits(made.caps)["year"]
    assert not seen(made, Past(full - 4.001 * each, 0.5)).exceeded
    assert [entry.quarter for entry in seen(made, Past(full - 3.5 * each, 0.5)).exceeded] == [4]
    later = seen(made, Past(full - 2.001 * each, 0.5), date(2027, 6, 1))
    assert not later.exceeded
    assert [entry.studies for entry in later.quarters] == [(), (), ("tables",), ("tables",)]
    assert later.rho == pytest.approx(4 * each)
    assert seen(made, Past(0.0, limits(made.caps)["lifetime"] - 8.001 * each)).repeatable == 2
    with pytest.raises(ConfigurationError, match="2027, which is over"):
        seen(made, NOTHING, date(2028, 1, 1))


def test_a_plan_that_fits_is_refused_by_no_ledger_and_one_that_does_not_is_refused_where_it_says(
    tmp_path: Path,
) -> None:
    for times in (2, 4, 6, 9):
        made = plan(tmp_path, f"{TABLES}times = {times}\n", "year = 2027\n[caps]\nepsilon_per_year = 1.2\n")
        found = seen(made)
        refused = None
        now = datetime(2027, 1, 1, tzinfo=UTC)
        ledger = Ledger(tmp_path / f"{times}.sqlite", Caps(**found.limits), lambda: now)  # noqa: B023
        events = sorted(
            ((day, cost) for cost in found.costs for day in cost.days), key=lambda event: event[0]
        )
        for number, (day, cost) in enumerate(events):
            try:
                ledger.reserve(f"s{number}", "m", cost.rho)
            except RefusedError:
                refused = (cost.study, day)
                break
        ledger.close()
        named = [(entry.study, entry.day) for entry in found.exceeded]
        assert named[:1] == ([] if refused is None else [refused])


HUGE = "1" * 400
BAD = {
    "unknown key": (TABLES.replace("epsilon", "epsilom"), "study 'tables': .*epsilom: no such key; did you "),
    "unknown key of the plan": ("counts_per_yaer = 1\n" + TABLES, "did you mean 'counts_per_year'"),
    "unknown key of the caps": (
        f"[caps]\nepsilon_per_yaer = 1.0\n{TABLES}",
        "did you mean 'epsilon_per_year'",
    ),
    "negative epsilon": (TABLES.replace("0.5", "-0.5"), "study 'tables': epsilon: .*greater than 0"),
    "epsilon of zero": (TABLES.replace("0.5", "0.0"), "study 'tables': epsilon: .*greater than 0"),
    "nan": (TABLES.replace("0.5", "nan"), "study 'tables': epsilon: .*finite|greater"),
    "infinity": (TABLES.replace("0.5", "inf"), "study 'tables': epsilon: .*finite|less"),
    "400 digits": (TABLES.replace("0.5", HUGE), "study 'tables': epsilon: "),
    "400 digits of retries": (f"{TABLES}retries = {HUGE}\n", "study 'tables': retries: "),
    "400 digits of times": (f"{TABLES}times = {HUGE}\n", "study 'tables': times: "),
    "400 digits in parameters": (TABLES.replace("2018", HUGE), "study 'tables' of the plan: .*first_year"),
    "400 digits of delta": (f"[caps]\ndelta = {HUGE}\n{TABLES}", "caps.delta: "),
    "a text": (TABLES.replace("0.5", '"0.5"'), "study 'tables': epsilon: .*number"),
    "unknown analysis": (TABLES.replace("trends", "trend"), "no analysis 'trend'; did you mean 'trends'"),
    "two of a name": (TABLES + TABLES, "two studies are called 'tables'"),
    "date outside the year": (f"{TABLES}dates = [2028-01-01]\n", "2028-01-01 is not in 2027"),
    "date twice": (f"{TABLES}dates = [2027-01-01, 2027-01-01]\n", "a date is named twice"),
    "a time of day": (f"{TABLES}dates = [2027-01-01T10:00:00]\n", "dates"),
    "no date": (f"{TABLES}dates = [5]\n", "dates.0: "),
    "times and dates": (f"{TABLES}times = 1\ndates = [2027-01-01]\n", "times or dates, not both"),
    "never": (f"{TABLES}times = 0\n", "times: "),
    "no study": ("", "studies: Field required"),
    "no studies": ("studies = []\n", "studies: "),
    "studies that are none": ("studies = [1, 2]\n", "study '0': "),
    "a bad name": (TABLES.replace('"tables"', '"Tables!"'), "name: "),
    "parameters that are wrong": (TABLES.replace("first_year", "fist_year"), "study 'tables' of the plan"),
    "a date among parameters": (TABLES.replace("2018", "2018-01-01"), "parameters: .*holds a date"),
    "a nan among parameters": (TABLES.replace("2018", "nan"), "parameters: .*holds a date, a nan"),
    "two sources of parameters": (f'{TABLES}parameters_file = "x.toml"\n', "or parameters_file, not both"),
    "a huge year": (f"year = {HUGE}\n", "not TOML"),
    "a state twice": ('participants = ["BE", "BE"]\n' + TABLES, "a participant is named twice"),
    "more needed than there are": (
        f"{TABLES}minimum = 9\n",
        "study 'tables' of the plan: .*more participants",
    ),
    "no holder of noise": (f"{TABLES}colluders = 7\n", "study 'tables' of the plan: .*holders"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_in_a_plan_is_named(case: str, tmp_path: Path) -> None:
    text, words = BAD[case]
    with pytest.raises((ConfigurationError, RefusedError), match=words) as error:
        seen(plan(tmp_path, text))
    assert error.value.fix
    assert len(error.value.cause) < 1000


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"year = 2027 = 1", b"a = " + b"[" * 100_000, b"year = 1" * 9]
)
def test_a_file_that_is_no_plan_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as error:
        load(path)
    assert error.value.code == "plan-not-toml"
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "none.toml")
    assert error.value.code == "plan-missing"


def test_parameters_may_stand_in_a_file_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "tables.toml").write_text("first_year = 2018\nlast_year = 2026\n", encoding="utf-8")
    line = "parameters = { first_year = 2018, last_year = 2026 }"
    made = plan(tmp_path, TABLES.replace(line, 'parameters_file = "tables.toml"'))
    assert made.studies[0].parameters == {"first_year": 2018, "last_year": 2026}
    assert seen(made).rho == seen(plan(tmp_path)).rho
    (tmp_path / "tables.toml").unlink()
    with pytest.raises(ConfigurationError, match=r"tables\.toml cannot be read"):
        plan(tmp_path, TABLES.replace(line, 'parameters_file = "tables.toml"'))


CAPS = PlannedCaps()
QUARTERLY = (rho_for(CAPS.epsilon_per_study, CAPS.delta), RHO_PER_COUNT, RHO_PER_COUNT / 2)
"""ADR 20: each quarter studies that cost a whole cap per study, and one and a half counts."""


def test_quarterly_releases_fit_the_default_caps_for_ten_years_and_no_quarter_longer(tmp_path: Path) -> None:
    """The claim of ADR 20, by a real ledger under the default caps of a policy."""
    now = datetime(2027, 2, 15, tzinfo=UTC)
    ledger = Ledger(tmp_path / "ledger.sqlite", Caps(**limits(CAPS)), lambda: now)
    for quarter in range(40):
        now = datetime(2027 + quarter // 4, 3 * (quarter % 4) + 2, 15, tzinfo=UTC)
        for part, rho in enumerate(QUARTERLY):
            study = f"q{quarter}-{part}"
            ledger.reserve(study, "m", rho)
            ledger.spend((study, 0, 0), "r", b"sum", rho)
            ledger.end(study)
    assert ledger.totals().spent == pytest.approx(40 * sum(QUARTERLY))
    now = datetime(2037, 2, 15, tzinfo=UTC)
    with pytest.raises(RefusedError, match="cap per lifetime"):
        ledger.reserve("q40-0", "m", QUARTERLY[0])
    ledger.close()


def test_the_arithmetic_of_adr_20() -> None:
    found = limits(CAPS)
    assert 10 * found["year"] <= found["lifetime"] < 10.25 * found["year"]
    assert 4 * sum(QUARTERLY) <= found["year"] < 4 * sum(QUARTERLY) + RHO_PER_COUNT
    # What stood in the template before, 1 / 2 / 8: four studies at the cap do not fit a year.
    assert 3 * rho_for(1.0, 1e-6) < rho_for(2.0, 1e-6) < 4 * rho_for(1.0, 1e-6)
    assert epsilon(10 * rho_for(2.0, 1e-6), 1e-6) == pytest.approx(7.22, abs=0.01)
    text = (ROOT / "docs" / "adr" / "0020-caps-for-ten-years.md").read_text(encoding="utf-8")
    for cap, of in (("study", CAPS.epsilon_per_study), ("year", CAPS.epsilon_per_year)):
        assert f"| {cap} | {of:.1f} | {found[cap]:.5f} |" in text
    assert f"| lifetime | {CAPS.epsilon_lifetime:.1f} | {found['lifetime']:.5f} |" in text


def test_what_adr_20_says_a_year_buys() -> None:
    made = load(ROOT / "configs" / "budget-plan.toml")
    found = {}
    for planned in made.studies:
        manifest = drafted(made, planned, EIGHT)
        found |= {figure.what: figure.value for figure in expected(manifest, 12_000).figures}
    assert [
        round(found[f"95% margin of a count by {name}, in victims"])
        for name in ("year x form", "year", "total")
    ] == [39, 66, 140]
    assert found["standard error of the size of a typology, in victims"] == pytest.approx(50, abs=1)
    left = limits(CAPS)["year"] - sum(cost.rho * len(cost.days) for cost in costs(made, EIGHT))
    assert left == pytest.approx(0.02226, abs=1e-5)
    assert epsilon(left, 1e-6) == pytest.approx(0.95, abs=0.01)
    assert epsilon(left / 4, 1e-6) == pytest.approx(0.45, abs=0.01)
    few = ("sex", "age_band", "citizenship")
    every = tuple(field.name for field in features() if field.name not in NOT_FEATURES)
    for names, columns, common, rare in ((few, 53, "0.01", "0.07"), (every, 198, "0.06", "0.2")):
        parameters = {"target": "form:SexualExploitation", "features": list(names)}
        planned = made.studies[1].model_copy(update={"parameters": parameters})
        manifest = drafted(made, planned, EIGHT)
        assert manifest.build_analysis().learner.columns == columns  # type: ignore[attr-defined]
        losses = {figure.what[-12:-9].strip(): figure.value for figure in expected(manifest, 12_000).figures}
        assert (f"{losses['10%']:.1g}", f"{losses['2%']:.1g}") == (common, rare)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_file_makes_reading_a_plan_fail_otherwise(content: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "plan.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError):
            load(path)


WORDS = ("", "x", [], [1], [[]], {}, {"a": 1}, date(2027, 1, 1))
VALUES = (*WORDS, True, 0, -1, 1.5, 10**400, math.inf, math.nan)


@pytest.mark.parametrize("kind", [Plan, PlannedCaps, PlannedStudy])
def test_no_value_of_any_key_makes_a_plan_fail_otherwise(kind: type[BaseModel], tmp_path: Path) -> None:
    """Each key of each table with each kind of value: a plan, or one of our errors."""
    whole = tomllib.loads(f"year = 2027\n[caps]\n{TABLES}")
    for key in kind.model_fields:
        for value in VALUES:
            table = copy.deepcopy(whole)
            place = {Plan: table, PlannedCaps: table["caps"], PlannedStudy: table["studies"][0]}[kind]
            place[key] = value
            with contextlib.suppress(ConfigurationError, RefusedError):
                seen(checked(tmp_path / "plan.toml", table))


def test_the_example_is_shown_in_the_documentation_as_it_is_printed() -> None:
    made = load(ROOT / "configs" / "budget-plan.toml")
    assert made.caps == CAPS
    assert made.rho_per_count == RHO_PER_COUNT
    assert made.participants is not None
    found = outlook(made, costs(made, made.participants), NOTHING, BEFORE)
    assert not found.exceeded
    assert found.repeatable >= 10
    text = (ROOT / "docs" / "budget.md").read_text(encoding="utf-8")
    assert plan_text.text(made, found, ()) in text
    content = plan_text.content(made, found, ())
    assert content["plan"]["rho"] == pytest.approx(sum(cost.rho * len(cost.days) for cost in found.costs))
    over = made.model_copy(update={"caps": PlannedCaps(epsilon_per_year=1.5)})
    shown = plan_text.text(over, outlook(over, found.costs, NOTHING, BEFORE), ())
    assert [line.split()[5] for line in shown.splitlines() if line[:1] == "Q"] == ["-", "-", "year", "-"]
