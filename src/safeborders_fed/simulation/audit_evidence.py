"""What a privacy audit makes of an adversary's view: noise measured, canaries weighed, charges added up.

Guarantees: every attempt that left the nodes counts, whether or not it got into the release. What a canary
adds to a sum is computed by the analysis itself from the canary's records, at the attempt's own broadcast, so
a bound that the analysis does not keep shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from safeborders_fed.analyses.base import Analysis, Arrays, Stage
from safeborders_fed.cases.encoding import merge
from safeborders_fed.errors import DefectError
from safeborders_fed.simulation.audit_estimates import VarianceRatio, variance_ratio
from safeborders_fed.simulation.audit_view import COLLUDERS, Attempt, View
from safeborders_fed.study.sums import add_up

_EVERYBODY: Final = "sum"


@dataclass(frozen=True)
class _Sight:
    """What one attempt shows in one stream, in grid units.

    Attributes:
        sigma: Standard deviation of the noise there, as the manifest states it.
        seen: What is left after all that the adversary knows, shape (dimension,).
        chosen: Numbers of the canaries that may be in, shape (chosen,).
        present: Whether they are in, shape (chosen,).
        added: What each of them adds if it is in, shape (chosen, dimension).
    """

    sigma: float
    seen: NDArray[np.int64]
    chosen: NDArray[np.int64]
    present: NDArray[np.bool_]
    added: NDArray[np.int64]


class Evidence:
    """Sums over the attempts of a view.

    Attributes:
        costs: Rho that each canary would lose at the manifest's sigma, shape (canaries, stages).
        scores: Each canary's log-likelihood ratio of being in, shape (canaries,).
        charged: Node and stage to the rho charged.
        answered: Node and stage to attempts.
    """

    def __init__(self, view: View) -> None:
        self._masked = view.manifest.trust == "masked"
        self._squares: dict[tuple[str, str], float] = {}
        self._samples: dict[tuple[str, str], int] = {}
        self._stages = [entry.name for entry in view.manifest.stages]
        self.costs = np.zeros((len(view.canaries), len(self._stages)))
        self.scores = np.zeros(len(view.canaries))
        self.charged: dict[tuple[str, str], float] = {}
        self.answered: dict[tuple[str, str], int] = {}

    def stream(self, node: str) -> str:
        """In what the adversary sees a node's victims: the sum of all, or the node's own vectors."""
        return _EVERYBODY if self._masked else node

    def charge(self, attempt: Attempt) -> None:
        """Takes down what an attempt cost by the ledgers."""
        for node, rho in attempt.charged.items():
            key = node, attempt.request.stage
            self.charged[key] = self.charged.get(key, 0.0) + rho
            self.answered[key] = self.answered.get(key, 0) + 1

    def take(self, stream: str, stage: str, sight: _Sight) -> None:
        """Takes in what one attempt shows in one stream."""
        seen, added, chosen = sight.seen / sight.sigma, sight.added / sight.sigma, sight.chosen
        # Subtracted in integers: where there is no noise, none must come from rounding.
        noise = (sight.seen - sight.added[sight.present].sum(axis=0)) / sight.sigma
        key = stream, stage
        self._squares[key] = self._squares.get(key, 0.0) + float(noise @ noise)
        self._samples[key] = self._samples.get(key, 0) + noise.size
        self.costs[chosen, self._stages.index(stage)] += np.einsum("ij,ij->i", added, added) / 2
        # Every canary is in with chance 1/2: seen from the middle, a canary is half a step up or down.
        self.scores[chosen] += added @ (seen - added.sum(axis=0) / 2)

    def ratios(self, false_alarm: float) -> dict[tuple[str, str], VarianceRatio]:
        """Stream and stage to the noise there; ``false_alarm`` is shared out among all.

        Raises:
            DefectError: ``audit-blind``.
        """
        each = false_alarm / len(self._squares)
        ratios = {
            key: variance_ratio(squares, self._samples[key], each) for key, squares in self._squares.items()
        }
        for (stream, stage), ratio in ratios.items():
            if ratio.low > 1:
                raise DefectError(
                    "audit-blind",
                    f"stage {stage} shows {math.sqrt(ratio.estimate):.3g} times the noise that the manifest "
                    f"states ({stream}): the audit does not account for all that is in a sum",
                    "report this; until it is mended the audit proves nothing",
                )
        return ratios


def gather(view: View) -> Evidence:
    """Takes in all attempts of a view."""
    manifest = view.manifest
    analysis = manifest.build_analysis()
    fields = analysis.fields()
    shapes = {stage.name: stage for stage in analysis.stages()}
    # All are merged at once, which takes long, and then taken apart again.
    everybody = merge(pa.concat_tables([*view.known.values(), *(c.table for c in view.canaries)]), fields)

    def prepared(node: str, table: pa.Table) -> Any:
        names = np.array(table["victim"].to_pylist())
        return analysis.prepare(everybody.take(np.isin(everybody.pseudonyms, names)), node)

    known = {node: prepared(node, table) for node, table in view.known.items()}
    canaries = [prepared(canary.node, canary.table) for canary in view.canaries]
    evidence = Evidence(view)
    for attempt, colluders_noise in zip(view.attempts, view.colluders_noise, strict=True):
        evidence.charge(attempt)
        shape, sigma = shapes[attempt.request.stage], manifest.terms(attempt.request.stage).sigma
        contributed = partial(_contributed, analysis, manifest.max_victims, shape, attempt.request.broadcast)
        for stream, members, noisy in _seen(manifest.trust, attempt, colluders_noise):
            seen = noisy - np.sum([contributed(known[node]) for node in members], axis=0)
            chosen = np.array([at for at, canary in enumerate(view.canaries) if canary.node in members])
            added = np.stack([contributed(canaries[at]) for at in chosen])
            present = np.array([view.canaries[at].present for at in chosen])
            evidence.take(stream, shape.name, _Sight(sigma, seen, chosen, present, added))
    return evidence


def _contributed(
    analysis: Analysis[Any, Any, Any], max_victims: int, stage: Stage, broadcast: Arrays, prepared: Any
) -> NDArray[np.int64]:
    return analysis.contribute(prepared, stage, broadcast, max_victims).values


def _seen(
    trust: str, attempt: Attempt, colluders_noise: NDArray[np.int64]
) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.int64]]]:
    """What the adversary sees of an attempt: name, nodes in it, and their sum without known noise."""
    if trust == "masked":
        nodes = tuple(attempt.vectors)
        yield _EVERYBODY, nodes, add_up([attempt.vectors[node] for node in nodes]) - colluders_noise
        return
    for node, vector in attempt.vectors.items():
        if node not in COLLUDERS:
            yield node, (node,), vector.view(np.int64)
