"""How good a released model is, beside a pooled model without privacy and beside each node alone.

Guarantees: all models see the same training victims and are judged on the same held-out ones, which none of
them saw. Runs only where one process may see all data (``simulation.peers``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.cases.encoding import merge
from safeborders_fed.simulation.peers import auc, fit_without_privacy, plain_scores, pooled

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from safeborders_fed.analyses.base import Release
    from safeborders_fed.analyses.detection import Detection
    from safeborders_fed.analyses.learner import Rows

_ONE_CLASS: Final = "its training records all have the same label"
_ONE_CLASS_HELD_OUT: Final = "its held-out records all have the same label"


@dataclass(frozen=True)
class Comparison:
    """Areas under the ROC curve on held-out victims.

    Attributes:
        federated: The released model, on all nodes' held-out victims; None if they have one class only.
        pooled: A model on all training victims without privacy, on the same.
        alone: Each node's own model without privacy, on the same; None where there is no such model.
        alone_reasons: Why there is none.
        own_records: For each node, on its own held-out victims: the released model, its own model.
        held_out: How many victims were held out.
    """

    federated: float | None
    pooled: float | None
    alone: dict[str, float | None]
    alone_reasons: dict[str, str]
    own_records: dict[str, tuple[float | None, float | None]]
    held_out: int


def compare(analysis: Detection[Any], release: Release, tables: Mapping[str, pa.Table]) -> Comparison:
    """Judges a release against its peers on the analysis tables of all nodes."""
    training: dict[str, Rows] = {}
    testing: dict[str, Rows] = {}
    for node, table in tables.items():
        victims = merge(table, analysis.fields())
        examples = analysis.prepare(victims, node)
        training[node], testing[node] = examples.training, examples.testing
    everything = pooled(list(testing.values()))
    pooled_model = fit_without_privacy(pooled(list(training.values())))
    alone: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    own: dict[str, tuple[float | None, float | None]] = {}
    for node, rows in training.items():
        here = testing[node]
        federated_here = auc(here.target, analysis.learner.margins(release.arrays, here.features))
        if len(set(rows.target.tolist())) < 2:
            alone[node], reasons[node], own[node] = None, _ONE_CLASS, (federated_here, None)
            continue
        model = fit_without_privacy(rows)
        alone[node] = auc(everything.target, plain_scores(model, everything))
        own[node] = (federated_here, auc(here.target, plain_scores(model, here)))
        if alone[node] is None:
            reasons[node] = _ONE_CLASS_HELD_OUT
    return Comparison(
        federated=auc(everything.target, analysis.learner.margins(release.arrays, everything.features)),
        pooled=auc(everything.target, plain_scores(pooled_model, everything)),
        alone=alone,
        alone_reasons=reasons,
        own_records=own,
        held_out=len(everything.target),
    )
