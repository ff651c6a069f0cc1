"""The peers that a federated model is held against are what they claim to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation_of import analysis_table
from safeborders_fed.analyses.base import Setting
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.analyses.logistic import Logistic, LogisticParameters
from safeborders_fed.privacy.products import Indicators
from safeborders_fed.simulation.evaluation import compare
from safeborders_fed.simulation.nodes import node_names
from safeborders_fed.simulation.peers import RIDGE, auc, fit_without_privacy, plain_scores


def test_the_model_without_privacy_is_where_its_loss_is_flat() -> None:
    rng = np.random.default_rng(1)
    features = rng.integers(0, 2, (400, 6))
    target = (rng.random(400) < 1 / (1 + np.exp(-(features @ np.arange(-2.0, 4.0) - 1)))).astype(np.int64)
    rows = Rows(Indicators(features), target)
    weights = fit_without_privacy(rows)
    residual = 1 / (1 + np.exp(-plain_scores(weights, rows))) - target
    assert features.T @ residual + RIDGE * weights[:-1] == pytest.approx(np.zeros(6), abs=1e-3)
    assert residual.sum() == pytest.approx(0, abs=1e-3)


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[bool, int]]) -> None:
    target = np.array([float(label) for label, _ in pairs])
    scores = np.array([float(score) for _, score in pairs])
    wins = [(a > b) + 0.5 * (a == b) for a in scores[target == 1] for b in scores[target == 0]]
    found = auc(target, scores)
    if wins:
        assert found == pytest.approx(np.mean(wins))
    else:
        assert found is None


def test_a_node_with_one_class_has_no_model_of_its_own_and_says_why() -> None:
    analysis = Logistic(LogisticParameters(target="actual_victim", features=("sex",), held_out=30))
    tables = {node: analysis_table(300, seed) for seed, node in enumerate(("BE", "BG", "FI"))}
    statuses = tables["FI"]["trafficking_status"].to_pylist()
    tables["FI"] = tables["FI"].filter([status == "ActualVictimOfTrafficking" for status in statuses])
    state = analysis.start(Setting(3, {}))
    comparison = compare(analysis, analysis.result(state), tables)
    assert comparison.alone["FI"] is None
    assert "same label" in comparison.alone_reasons["FI"]
    assert comparison.own_records["FI"] == (None, None)
    assert comparison.alone["BE"] is not None
    assert comparison.federated == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["US", "ua"], ["US", "UA"]),
        (["Île-de-France", "Paris"], ["NODE1", "NODE2"]),
        (["us", "US"], ["NODE1", "NODE2"]),
        (["../x", ""], ["NODE1", "NODE2"]),
    ],
)
def test_node_names_are_values_or_places(values: list[str], names: list[str]) -> None:
    assert node_names(values) == names
