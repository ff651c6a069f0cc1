"""A study of all tables of the catalogue, from a manifest over masked rounds to what reports read."""

import math
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from federation_of import NODES, POLICY, analysis_table, approve, participant, run_study, study
from safeborders_fed.analyses.trend_choice import CATALOGUE, OF_LINKS
from safeborders_fed.cases.encoding import NO_VICTIM
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.noisy_tables import TableRelease, tables_of
from safeborders_fed.study import release_file
from safeborders_fed.study.table_file import Rules

PARAMETERS = {
    "first_year": 2018,
    "last_year": 2025,
    "frequency": "Q",
    "tables": [name for name in CATALOGUE if name not in ("corridors-over-time", *OF_LINKS)],
    "states": list(NODES),
}

BEYOND = 6.5
"""Standard deviations beyond which a normal error lies with a chance below 1e-10."""
EMPTY = "2021-Q3"


def released(
    directory: Path, files: list[pa.Table], trust: Literal["masked", "local"], **changes: object
) -> TableRelease:
    """What reports read of a study of some tables that these nodes ran."""
    parameters = {**PARAMETERS, "tables": ["forms", "corridors", "coverage"], **changes}
    manifest = study(analysis="trends", parameters=parameters, trust=trust, rho=0.5)
    directory.mkdir()
    nodes = [participant(directory, node, table) for node, table in zip(NODES, files, strict=True)]
    for node in nodes:
        approve(node, manifest)
    release = run_study(manifest, nodes).release
    return tables_of(release_file.from_bytes(release_file.to_bytes(release, manifest)), manifest)


def counted(table: pa.Table) -> pa.Table:
    """Those who are counted at all."""
    return table.filter(pc.not_equal(pc.cast(table["trafficking_status"], pa.string()), NO_VICTIM))


def awkward() -> list[pa.Table]:
    """Nobody in one state, a citizenship that only one state has, and a quarter without anybody."""
    tables = []
    for seed in range(len(NODES)):
        table = analysis_table(600 * (seed < 3), seed)
        code = "VN" if seed == 1 else "BG"
        citizens = pa.array([code] * len(table), pa.string()).dictionary_encode()
        table = table.set_column(table.column_names.index("citizenship"), "citizenship", citizens)
        days = table["registration_date"]
        quarter = pc.and_(pc.equal(pc.year(days), 2021), pc.equal(pc.quarter(days), 3))
        table = table.filter(pc.invert(quarter))
        known = pc.is_valid(table["trafficking_status"])
        tables.append(table.filter(known))
    return tables


@pytest.fixture(scope="module")
def of_awkward(tmp_path_factory: pytest.TempPathFactory) -> TableRelease:
    return released(tmp_path_factory.mktemp("awkward") / "run", awkward(), "masked")


def test_an_empty_state_a_value_of_one_state_and_an_empty_quarter_come_out_as_they_are(
    of_awkward: TableRelease,
) -> None:
    tables, found = awkward(), of_awkward
    sizes = [counted(table).num_rows for table in tables]
    assert sizes[3] == 0

    def near(name: str, code: str | None, true: int) -> bool:
        table = found.table(name)
        value = table.counts if code is None else table.counts[table.axes[0].codes.index(code)]
        return abs(float(value) - true) < BEYOND * table.deviation + 1

    assert near("total", None, sum(sizes))
    for node, size in zip(NODES, sizes, strict=True):
        assert near("state", node, size)
    assert near("citizenship", "VN", sizes[1])
    assert near("citizenship", "BG", sizes[0] + sizes[2])
    assert near("quarter", EMPTY, 0)


def test_what_is_empty_is_published_as_suppressed_and_never_as_zero(of_awkward: TableRelease) -> None:
    # A threshold beyond any noise: whether an empty count is published is not left to chance here.
    threshold = math.ceil(BEYOND * max(of_awkward.table(name).deviation for name in ("state", "quarter")))
    shown = {table.name: table for table in disclose(of_awkward, Rules(threshold=max(threshold, 10)))}
    assert shown["state"].cells[NODES.index("GR")] is None
    assert shown["quarter"].cells[shown["quarter"].axes[0].codes.index(EMPTY)] is None
    assert len(shown["state"].axes[0].codes) == len(NODES), "the state is there, with its suppressed count"
    assert all(cell is None or cell > 0 for table in shown.values() for cell in table.cells)


def test_standard_errors_are_those_of_the_noise_of_either_trust_mode(tmp_path: Path) -> None:
    """The whole noise at each of four nodes is sqrt(3) times what three of four hold together."""
    tables = [analysis_table(300, seed) for seed in range(len(NODES))]
    everyone = sum(counted(table).num_rows for table in tables) + sum(
        table["trafficking_status"].null_count for table in tables
    )
    few: dict[str, object] = {"tables": ["forms", "coverage"], "frequency": "A"}
    masked = released(tmp_path / "masked", tables, "masked", **few)
    local = released(tmp_path / "local", tables, "local", **few)
    for one, other in zip(masked.tables, local.tables, strict=True):
        assert other.deviation / one.deviation == pytest.approx(math.sqrt(len(NODES) - 1), rel=1e-3)
    for made in (masked, local):
        total = made.table("total")
        assert abs(float(total.counts) - everyone) < BEYOND * total.deviation + 1


def test_tables_that_cost_more_than_the_budget_are_refused_at_each_node(tmp_path: Path) -> None:
    manifest = study(analysis="trends", parameters=PARAMETERS, rho=0.5)
    for number, node in enumerate(NODES):
        policy = POLICY.model_copy(update={"epsilon_per_study": manifest.epsilon * 0.9})
        one = participant(tmp_path, node, analysis_table(10, number), policy=policy)
        with pytest.raises(RefusedError, match="cap per study") as caught:
            approve(one, manifest)
        assert caught.value.exit_code == 5
        assert one._ledger.totals().reserved == 0


def test_many_tables_cost_what_one_costs() -> None:
    few = {**PARAMETERS, "tables": ["forms"], "states": []}
    one, all_of_them = (study(analysis="trends", parameters=given) for given in (few, PARAMETERS))
    assert one.rho == pytest.approx(all_of_them.rho, rel=1e-6)


def test_ten_thousand_cells_and_more_are_refused_at_the_draft_and_at_each_node(tmp_path: Path) -> None:
    large = {**PARAMETERS, "first_year": 1990, "last_year": 2029}
    with pytest.raises(ConfigurationError, match="10,000 are the most") as caught:
        study(analysis="trends", parameters=large)
    assert caught.value.code == "bad-parameters"
    assert caught.value.exit_code == 4
    # A coordinator that leaves its own check out.
    honest = study(analysis="trends", parameters=PARAMETERS)
    forged = honest.model_copy(update={"parameters": honest.parameters | large})
    for number, node in enumerate(NODES):
        one = participant(tmp_path, node, analysis_table(10, number))
        with pytest.raises(ConfigurationError, match="10,000 are the most"):
            approve(one, forged)
        assert one._ledger.totals().reserved == 0


def test_all_tables_of_the_catalogue_go_through_the_door(tmp_path: Path) -> None:
    manifest = study(analysis="trends", parameters=PARAMETERS, trust="masked", rho=0.5)
    tables = [analysis_table(400 * (seed < 3), seed) for seed in range(len(NODES))]
    nodes = [participant(tmp_path, node, table) for node, table in zip(NODES, tables, strict=True)]
    for node in nodes:
        approve(node, manifest)
    release = run_study(manifest, nodes).release
    found = tables_of(release_file.from_bytes(release_file.to_bytes(release, manifest)), manifest)
    counted = [
        sum(status != NO_VICTIM for status in table["trafficking_status"].to_pylist()) for table in tables
    ]
    total, states = found.table("total"), found.table("state")
    # Normal errors lie beyond 6.2 standard deviations with a chance below 1e-9; the margins' own are added.
    assert abs(float(total.counts) - sum(counted)) < 6.2 * total.deviation + 1
    assert states.axes[0].codes == NODES
    for count, true in zip(states.counts, counted, strict=True):
        assert abs(count - true) < 6.2 * states.deviation + 1
    assert counted[3] == 0
    assert {" x ".join(axis.name for axis in table.axes) or "total" for table in found.tables} == {
        table.name for table in found.tables
    }


def test_tables_by_other_states_than_the_participants_are_refused() -> None:
    parameters = {**PARAMETERS, "states": ["BE", "BG"]}
    with pytest.raises(RefusedError, match="not by its participants"):
        study(analysis="trends", parameters=parameters)
