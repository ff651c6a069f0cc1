"""The corridor that the synthetic files plant: through intake, nodes, door, masks and noise to a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation_of import CEREMONY, EIGHT, approve, run_study, study
from safeborders_fed.privacy import accounting
from safeborders_fed.reporting.early_warning import Verdict
from safeborders_fed.reporting.noisy_tables import TableRelease, tables_of
from safeborders_fed.reporting.over_time import warnings_over
from safeborders_fed.simulation.nodes import LocalNode, policy, start_node, synthetic_files
from safeborders_fed.study import release_file

SEED = 4711
SCALE = 3.0
"""Of the published numbers: the corridor has some 30, 55 and 97 recorded victims in its three years."""
EPSILON = 1.0
DELTA = 1e-6
CORRIDORS = "year x citizenship x exploitation"
STRICT = 1e-3
NEVER = 1e-6
pytestmark = pytest.mark.slow


def counted(number: int, first: int, last: int, nodes: list[LocalNode]) -> TableRelease:
    """The release of a study of corridors in these years, at epsilon 1."""
    parameters = {"first_year": first, "last_year": last, "tables": ["corridors-over-time"]}
    manifest = study(
        id=f"corridors-{number}",
        analysis="trends",
        parameters=parameters,
        participants=EIGHT,
        trust="masked",
        rho=accounting.rho_for(EPSILON, DELTA),
        retries=0,
        max_victims=nodes[0].store.max_victims,
    )
    taking_part = [node.participant for node in nodes]
    for node in taking_part:
        approve(node, manifest)
    release = run_study(manifest, taking_part).release
    return tables_of(release_file.from_bytes(release_file.to_bytes(release, manifest)), manifest)


def test_the_planted_corridor_is_the_one_that_is_named(tmp_path: Path) -> None:
    files, truth = synthetic_files(tmp_path / "files", SEED, SCALE)
    allowed = policy(3 * EPSILON, DELTA, {"trends"}, len(EIGHT))
    nodes = [start_node(file, tmp_path / "nodes", allowed, CEREMONY, str) for file in files]
    # Eight years of corridors are more than one study holds: six years, and then the last two.
    releases = [counted(1, 2018, 2023, nodes), counted(2, 2024, 2025, nodes)]
    deviation = releases[1].table(CORRIDORS).deviation
    assert 5 < deviation < 6
    planted = {"citizenship": truth["corridor"]["citizenship"], "exploitation": truth["corridor"]["state"]}
    # Noise is drawn anew each time, and the corridor stands ten standard errors out.
    found = warnings_over(releases, alpha=STRICT, only=[CORRIDORS])
    assert (found.period, found.tested) == ("2025", 37 * 37)
    assert (dict(found.raised[0].key), found.raised[0].verdict) == (planted, Verdict.RISE)
    # Any other is named at this rate with a chance of one in a million at most, under the model.
    strictest = warnings_over(releases, alpha=NEVER, only=[CORRIDORS])
    assert {one.name for one in strictest.raised} <= {found.raised[0].name}
