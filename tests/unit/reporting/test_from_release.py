from __future__ import annotations

import numpy as np
import pytest

from safeborders_fed.analyses import evaluation
from safeborders_fed.errors import DefectError
from safeborders_fed.reporting import from_release
from safeborders_fed.reporting.accuracy import Estimate, GroupAccuracy


def test_every_summary_of_an_evaluation_becomes_facts() -> None:
    layout = evaluation.layout(("sex", "age", "citizenship", "state"), ("BG", "RO"))
    rng = np.random.default_rng(6)
    edges = np.linspace(-2, 1, evaluation.BINS - 1)
    for level in (0.0, 3.0, 400.0):
        total = np.rint(rng.normal(level * evaluation.BOUND, 6 * evaluation.BOUND, layout.dimension))
        summary = evaluation.summarise(layout, total.astype(np.int64), 6.0 * evaluation.BOUND, edges)
        found = from_release.accuracy(summary)
        assert list(found.groups) == ["Sex", "Age", "Citizenship", "State"]
        assert [group.name for group in found.groups["State"]] == ["BG", "RO"]
        assert len(found.points) == evaluation.BINS
        assert found.overall.name == "All held-out persons"
        assert (found.overall.auc is not None) or level < 100


def test_a_group_needs_an_area_with_its_margin_or_a_reason() -> None:
    some = Estimate(10.0, 1.0)
    for auc, margin, reason in ((0.8, None, None), (None, None, None), (0.8, 0.1, "why"), (1.2, 0.1, None)):
        with pytest.raises(DefectError):
            GroupAccuracy("A", some, some, auc, margin, reason)
    assert GroupAccuracy("A", some, some, 0.95, 0.1, None).interval == pytest.approx((0.85, 1.0))
