"""What a federated model is held against: models without privacy, and the measure of both.

Guarantees: nothing here is part of a federation. It runs where one process sees all data: in the demo, on
synthetic or public files, and in benchmarks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import vstack
from scipy.special import expit
from scipy.stats import rankdata

from safeborders_fed.analyses.learner import Rows
from safeborders_fed.privacy.products import Indicators

RIDGE: Final = 1.0
"""L2 penalty on all weights but the intercept, as many libraries have by default."""


def fit_without_privacy(rows: Rows) -> NDArray[np.float64]:
    """Logistic regression on pooled rows, converged: weights, shape (columns + 1,), the intercept last."""
    x = np.column_stack([rows.dense(), np.ones(len(rows.target))])
    penalty = np.full(x.shape[1], RIDGE)
    penalty[-1] = 1e-6  # keeps the problem strictly convex without pulling at the intercept

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = x @ weights
        value = np.logaddexp(0, logits).sum() - rows.target @ logits + 0.5 * penalty @ weights**2
        return float(value), x.T @ (expit(logits) - rows.target) + penalty * weights

    def hessian(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = expit(x @ weights)
        curvature: NDArray[np.float64] = (x.T * (chance * (1 - chance))) @ x + np.diag(penalty)
        return curvature

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, hess=hessian, method="trust-exact")
    weights: NDArray[np.float64] = found.x
    return weights


def plain_scores(weights: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    """Log-odds, shape (n,), of weights from ``fit_without_privacy``."""
    scores: NDArray[np.float64] = rows.features.matrix @ weights[:-1] + weights[-1]
    return scores


def auc(target: NDArray[np.int64], scores: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve: how often a random positive scores above a random negative, ties half.

    None where one of the two classes is absent.
    """
    positives = int(target.sum())
    negatives = len(target) - positives
    if positives == 0 or negatives == 0:
        return None
    ranks = rankdata(scores)
    return float((ranks[target == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def pooled(parts: list[Rows]) -> Rows:
    """All rows together."""
    features = vstack([part.features.matrix for part in parts], format="csr")
    return Rows(Indicators(features), np.concatenate([part.target for part in parts]))
