"""What a demonstration adds to the page of its released tables.

Guarantees:

- Plain, frozen facts. Nothing here reads a file or a clock, and nothing else of the project is needed but
  its errors and the rule for a known accuracy (``analyses.evaluation.beyond_chance``), so that every sentence
  and number that a demonstration adds can be traced to one field below.
- No counts of victims by trait: those are on the page as the released tables publish them.
- Facts that contradict themselves (a value that is not finite, a negative standard error) are refused when
  they are put together, not when they are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from safeborders_fed.reporting.beside_links import LinksBeside
from safeborders_fed.reporting.card_facts import ModelCardFacts
from safeborders_fed.reporting.checks import refuse, require_finite, require_share
from safeborders_fed.reporting.planted import Planted


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """One study: what was asked, of whom, at what cost.

    Attributes:
        id: Identifier in the manifest.
        purpose: Why it was asked, as approved.
        question: What was asked, in words.
        analysis: Name of the analysis.
        states: Names of the states that were asked.
        rounds: Number of aggregations.
        rho: Cost as zero-concentrated differential privacy, per victim at one node.
        epsilon: The same cost as epsilon at ``delta``.
        delta: The delta of ``epsilon``; between 0 and 1, exclusive.
        trust: ``masked`` (noise shared between nodes) or ``local`` (each node adds all of it).
        noise: One sentence: which noise is in which number.
        columns: Labels of the fields of the data contract that were used.
    """

    id: str
    purpose: str
    question: str
    analysis: str
    states: tuple[str, ...]
    rounds: int
    rho: float
    epsilon: float
    delta: float
    trust: Literal["local", "masked"]
    noise: str
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        require_finite(f"study {self.id!r}", {"rho": self.rho, "epsilon": self.epsilon})
        if not 0 < self.delta < 1:
            raise refuse(f"delta of study {self.id!r} is {self.delta}, not between 0 and 1")
        if self.trust not in ("local", "masked"):
            raise refuse(f"trust mode of study {self.id!r} is {self.trust!r}, not 'local' or 'masked'")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What intake at one node took in: exact counts, which only a demonstration may show.

    Attributes:
        name: Name of the state.
        victims: Number of persons in the store, those found not to be victims included.
        quarantined: Number of rows that intake put aside.
    """

    name: str
    victims: int
    quarantined: int

    def __post_init__(self) -> None:
        require_finite(f"node {self.name!r}", {"victims": self.victims, "quarantined": self.quarantined})


@dataclass(frozen=True, slots=True)
class Detection:
    """How well the detection model ranks records that it was not trained on.

    All figures are areas under the ROC curve, 0 to 1, without privacy noise.

    Attributes:
        label: The positive class as a noun phrase, such as ``actual victim of trafficking``.
        federated: The federated model on all held-out records.
        pooled_without_privacy: One model trained on everybody's records, without noise, likewise.
        alone: Per node: a model trained on its own records only, on all held-out records; ``None`` if
            there is none.
        alone_reasons: Per node without such a model: why.
        own_records: Per node, on its own held-out records: (federated model, own model); ``None`` where
            it cannot be computed.
        bayes_optimum: What the best possible model could reach, where the data's truth is known.
        records_held_out: Number of held-out records, all nodes together.
    """

    label: str
    federated: float
    pooled_without_privacy: float
    alone: Mapping[str, float | None]
    alone_reasons: Mapping[str, str]
    own_records: Mapping[str, tuple[float | None, float | None]]
    bayes_optimum: float | None
    records_held_out: int

    def __post_init__(self) -> None:
        require_share(
            "detection",
            {
                "federated": self.federated,
                "pooled_without_privacy": self.pooled_without_privacy,
                "bayes_optimum": self.bayes_optimum,
            },
        )
        require_share("the models of single nodes", self.alone)
        for name, pair in self.own_records.items():
            require_share(f"own records of {name!r}", dict(zip(("federated", "own"), pair, strict=True)))
        unexplained = [
            name for name, auc in self.alone.items() if auc is None and name not in self.alone_reasons
        ]
        if unexplained:
            raise refuse(f"no reason is given why node {unexplained[0]!r} has no model of its own")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """All that a demonstration knows beside its released tables.

    Attributes:
        seed: Seed of the synthetic files and of the split; ``None`` if there is none.
        total_rho: Cost of all studies together (rho adds up).
        total_epsilon: ``total_rho`` as epsilon at ``delta`` (epsilons do not add up).
        delta: The delta of ``total_epsilon``.
        studies: What was asked.
        nodes: What each node took in.
        detection: How good the model is; ``None`` where it cannot be measured, as with one class only.
        seconds: Wall time per step, in the order in which steps ran.
        planted: Types beside the planted ways; ``None`` where the truth is not known.
        card: The released model; ``None`` if there is none.
        links: Links beside the truth; ``None`` where none were sought.
    """

    seed: int | None
    total_rho: float
    total_epsilon: float
    delta: float
    studies: tuple[StudyFacts, ...]
    nodes: tuple[NodeFacts, ...]
    detection: Detection | None
    seconds: Mapping[str, float]
    planted: Planted | None = None
    card: ModelCardFacts | None = None
    links: LinksBeside | None = None

    def __post_init__(self) -> None:
        costs = {"total_rho": self.total_rho, "total_epsilon": self.total_epsilon}
        require_finite("the demonstration", costs)
        require_finite("the timings", self.seconds)
        if not 0 < self.delta < 1:
            raise refuse(f"delta of the demonstration is {self.delta}, not between 0 and 1")
