"""The privacy audit: does a whole federation keep the epsilon that its ledgers charge?

Unit: one victim, with all their records, at one node, added or removed.

What is estimated. The adversary of ``audit_view`` subtracts all it knows from what it sees; what is left of
an attempt is the honest nodes' noise and the canaries that are in. In trust mode masked it sees the sum of an
attempt only (masks hide the rest), in trust mode local each node's vector. Per stage, the noise left is
measured against the manifest's sigma, and what each canary really adds to a sum against that noise: the
Gaussian estimate of the rho that one victim loses, over all attempts, in the release or not.

Guarantees:

- An honest mechanism is accused with a chance of at most ``FALSE_ALARM`` an audit. It is accused only if the
  lower limit of the estimate, in a stage, is above what the ledger of the canary's node charged for it.
- Estimate and claim are compared in rho, which is exact for the Gaussian, and shown as its exact epsilon: the
  slack of the accountant's conversion from rho to epsilon cannot hide a fault.
- If there is more noise than the manifest says, the audit has not understood the mechanism, and fails
  (``audit-blind``) instead of acquitting.
- The one-run lower bound (Steinke, Nasr, Jagielski 2023) is reported beside the estimate and never judged.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import UsageError
from safeborders_fed.privacy import accounting
from safeborders_fed.simulation.audit_estimates import (
    VarianceRatio,
    gaussian_epsilon,
    guesses,
    one_run_bound,
)
from safeborders_fed.simulation.audit_evidence import gather
from safeborders_fed.simulation.audit_victims import FIRST_YEAR, LABEL, LAST_YEAR
from safeborders_fed.simulation.audit_view import NODES, Terms, View, observe

FALSE_ALARM: Final = 1e-11
"""So that a hundred audits of a right mechanism accuse it with a chance of at most 1e-9."""
CONFIDENCE: Final = 0.95
DEFAULT_ROUNDS: Final = 16
AUDITED: Final = ("logistic", "neural", "trends", "typology")
_GUESSED: Final = 0.5
_EVALUATION_SHARE: Final = 0.02
"""A canary trains or is held out: the smaller this share, the less of the claim does the other not use."""
_FEATURES: Final = (
    "age_band",
    "citizenship",
    "means_of_control",
    "method_of_recruitment",
    "recruiter_relationship",
    "roles",
    "transport",
    "industry",
    "exploiter_relationship",
    "source_organisation",
)
"""Enough columns to measure the noise well, and few enough that their second moments do not take long."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to audit.

    Attributes:
        analysis: One of ``AUDITED``.
        epsilon: What the study may cost, retries included.
        delta: At which epsilon is stated.
        trust: Trust mode.
        rounds: Gradient rounds of ``logistic``; the default if None. ``trends`` has one round.
        seed: Of the made-up victims. Noise is never seeded.
    """

    analysis: str
    epsilon: float = 1.0
    delta: float = 1e-6
    trust: Literal["masked", "local"] = "masked"
    rounds: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class StageFinding:
    """One stage, for the victim of a node who loses most in it. Costs are rho.

    Attributes:
        stage: Its name.
        node: The victim's node.
        attempts: Attempts that the node answered.
        charged: What its ledger charged for them.
        estimate: What the victim really loses.
        low: Lower limit of that.
        high: Upper limit of that.
    """

    stage: str
    node: str
    attempts: int
    charged: float
    estimate: float
    low: float
    high: float

    @property
    def accused(self) -> bool:
        """Whether the stage certainly costs more than was charged."""
        return self.low > self.charged


@dataclass(frozen=True)
class OneRun:
    """The one-run audit: how many canaries, guesses and right guesses there were, and what follows."""

    canaries: int
    guessed: int
    correct: int
    epsilon: float


@dataclass(frozen=True)
class Finding:
    """One audit.

    Attributes:
        rounds: Rounds of the study.
        attempts: Attempts, retries included.
        budget: Epsilon of the study's whole budget, by the accountant.
        claimed: Exact Gaussian epsilon of what the ledger of the worst canary's node charged.
        estimate: Gaussian estimate of epsilon for that canary; may be infinite.
        low: Its lower limit.
        high: Its upper limit; may be infinite.
        stages: The worst of each stage.
        one_run: The lower bound that is reported beside.
    """

    rounds: int
    attempts: int
    budget: float
    claimed: float
    estimate: float
    low: float
    high: float
    stages: tuple[StageFinding, ...]
    one_run: OneRun

    @property
    def accused(self) -> bool:
        """Whether the mechanism certainly costs more than it charges."""
        return any(stage.accused for stage in self.stages)


def audit(options: Options) -> Finding:
    """Audits one run of one study in a federation of its own.

    Raises:
        UsageError: ``not-audited`` or ``no-rounds``.
        DefectError: ``audit-blind`` or ``audit-incomplete``.
        SafeBordersError: whatever refuses or ends the study.
    """
    terms = Terms(
        options.analysis,
        parameters(options),
        options.trust,
        accounting.rho_for(options.epsilon, options.delta),
        options.delta,
    )
    with tempfile.TemporaryDirectory(prefix="safeborders-audit-") as directory:
        view = observe(terms, options.seed, Path(directory))
    return judge(view)


def parameters(options: Options) -> dict[str, Any]:
    """The parameters of the analysis to audit.

    Raises:
        UsageError: ``not-audited`` or ``no-rounds``.
    """
    years = {"first_year": FIRST_YEAR, "last_year": LAST_YEAR}
    match options.analysis:
        case "logistic" | "neural":
            return {
                "target": f"form:{LABEL}",
                "features": list(_FEATURES),
                "rounds": options.rounds or DEFAULT_ROUNDS,
                "partitions": ["sex", "age", "citizenship", "state"],
                "evaluation_share": _EVALUATION_SHARE,
                "states": list(NODES),
            }
        case "typology":
            features = ["forms_of_exploitation", *_FEATURES]
            rounds = {} if options.rounds is None else {"rounds": options.rounds}
            return {"features": features, "states": list(NODES), **years, **rounds}
        case "trends" if options.rounds is None:
            return years
        case "trends":
            raise UsageError("no-rounds", "trends has one round", "leave --rounds out")
    raise UsageError(
        "not-audited",
        f"there is no privacy audit of an analysis {options.analysis!r}",
        f"use --analysis with one of {', '.join(AUDITED)}",
    )


def judge(view: View) -> Finding:
    """What a view shows.

    Raises:
        DefectError: ``audit-blind``.
    """
    evidence = gather(view)
    ratios = evidence.ratios(FALSE_ALARM)
    stages = [entry.name for entry in view.manifest.stages]
    streams = [evidence.stream(canary.node) for canary in view.canaries]
    ratio = np.array([[_limits(ratios[stream, stage]) for stage in stages] for stream in streams])
    charged = np.array([[evidence.charged[canary.node, s] for s in stages] for canary in view.canaries])
    added = evidence.costs[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # no noise at all costs infinitely much
        # Who adds nothing to a stage (held out, or not) loses nothing there, whatever its noise.
        costs = np.where(added > 0, added / ratio, 0.0)  # (canaries, stages, (estimate, low, high))
    found = []
    for at, stage in enumerate(stages):
        worst = _worst(costs[:, at], charged[:, at])
        node = view.canaries[worst].node
        count = evidence.answered[node, stage]
        found.append(
            StageFinding(stage, node, count, float(charged[worst, at]), *map(float, costs[worst, at]))
        )
    totals, claims, delta = costs.sum(axis=1), charged.sum(axis=1), view.manifest.delta
    worst = _worst(totals, claims)
    claimed, estimate, low, high = (
        gaussian_epsilon(math.sqrt(2 * float(rho)), delta) for rho in (claims[worst], *totals[worst])
    )
    return Finding(
        rounds=view.outcome.rounds,
        attempts=len(view.attempts),
        budget=view.manifest.epsilon,
        claimed=claimed,
        estimate=estimate,
        low=low,
        high=high,
        stages=tuple(found),
        one_run=_one_run(view, evidence.scores),
    )


def _worst(costs: NDArray[np.float64], charged: NDArray[np.float64]) -> int:
    """Number of the canary that certainly lost more than was charged for it, else of the one that lost most.

    Args:
        costs: Estimate, lower and upper limit, shape (canaries, 3).
        charged: Shape (canaries,).
    """
    return int(np.lexsort((costs[:, 0], costs[:, 1] > charged))[-1])


def _limits(ratio: VarianceRatio) -> tuple[float, float, float]:
    """What costs are divided by for the estimate, its lower and its upper limit."""
    return ratio.estimate, ratio.high, ratio.low


def _one_run(view: View, scores: NDArray[np.float64]) -> OneRun:
    guessed = guesses(scores, math.ceil(_GUESSED * len(scores)))
    truth = np.array([1 if canary.present else -1 for canary in view.canaries])
    count, correct = int((guessed != 0).sum()), int((guessed == truth).sum())
    bound = one_run_bound(
        canaries=len(truth),
        guessed=count,
        correct=correct,
        delta=view.manifest.delta,
        false_alarm=1 - CONFIDENCE,
    )
    return OneRun(len(truth), count, correct, bound)
