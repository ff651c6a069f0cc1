"""What a model card says: the only input of the card, beside nothing but what is written in ``card``.

Guarantees: plain, frozen facts; those that contradict themselves are refused when they are put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from safeborders_fed.analyses.evaluation import beyond_chance
from safeborders_fed.reporting.accuracy import Accuracy, Estimate
from safeborders_fed.reporting.checks import refuse, require_finite, require_share


@dataclass(frozen=True, slots=True)
class Guess:
    """An attack on membership at one threshold.

    Attributes:
        false_alarms: Share of held-out records that may be taken for trained ones.
        found: Share of trained records that are found.
        low: Lower end of its 95% interval (Clopper and Pearson 1934), for the threshold taken as given.
        high: Upper end.
        permitted: The most that epsilon and delta permit any attack to find.
    """

    false_alarms: float
    found: float
    low: float
    high: float
    permitted: float


@dataclass(frozen=True, slots=True)
class MembershipTest:
    """What an attack on membership finds.

    Attributes:
        auc: How often a trained record has the smaller loss of a trained and a held-out one; 0.5 is chance.
        margin: Half of its 95% interval (Hanley and McNeil 1982).
        permitted: The most that epsilon and delta permit the area of any attack to be.
        inside: Trained records.
        outside: Held-out records.
        guesses: At some shares of false alarms.
    """

    auc: float
    margin: float
    permitted: float
    inside: int
    outside: int
    guesses: tuple[Guess, ...]

    def __post_init__(self) -> None:
        require_share("the membership test", {"area": self.auc, "permitted": self.permitted})
        require_finite("the membership test", {"margin": self.margin})


@dataclass(frozen=True, slots=True)
class ModelCardFacts:
    """One released model.

    Attributes:
        name: What the model is called.
        created: When it was released; with a time zone.
        synthetic: Whether its records are made up.
        software_version: Version of safeborders-fed.
        contract_version: Version of the data contract.
        analysis: Name of the analysis that trained it.
        study: Identifier of the study.
        purpose: As approved.
        legal_basis: As approved.
        label: What a positive record is, in words.
        population: Whom it is for, in words.
        features: Labels of the fields that it reads.
        states: The states that took part.
        held_out: Hundredths of victims that never train.
        rounds: Aggregations, the evaluation included.
        rho: Cost, zero-concentrated differential privacy, per victim at one node.
        epsilon: The same at ``delta``.
        delta: Between 0 and 1, exclusive.
        trust: ``masked`` or ``local``.
        tolerated_colluders: Other nodes that may tell the coordinator their noise.
        labelled: Persons trained on, with a known label, as training counted them; None if it did not.
        positives: How many of them are positive.
        accuracy: On held-out persons; None if it was not measured.
        membership: The attack; None where nobody can know who trained.
        approvals: State to how many people approved the study there.
        model_hash: SHA-256 of the model's arrays, hexadecimal (the model file itself names the card).
        manifest_hash: SHA-256 of the manifest, hexadecimal.
        started_from: SHA-256 of the model that training started from, if any.
    """

    name: str
    created: datetime
    synthetic: bool
    software_version: str
    contract_version: str
    analysis: str
    study: str
    purpose: str
    legal_basis: str
    label: str
    population: str
    features: tuple[str, ...]
    states: tuple[str, ...]
    held_out: int
    rounds: int
    rho: float
    epsilon: float
    delta: float
    trust: Literal["masked", "local"]
    tolerated_colluders: int
    labelled: Estimate | None
    positives: Estimate | None
    accuracy: Accuracy | None
    membership: MembershipTest | None
    approvals: Mapping[str, int]
    model_hash: str
    manifest_hash: str
    started_from: str | None = None

    def __post_init__(self) -> None:
        require_finite(f"model {self.name!r}", {"rho": self.rho, "epsilon": self.epsilon})
        if not 0 < self.delta < 1:
            raise refuse(f"delta of model {self.name!r} is {self.delta}, not between 0 and 1")
        if self.created.tzinfo is None:
            raise refuse(f"the time of release of model {self.name!r} has no time zone")
        if set(self.approvals) != set(self.states):
            raise refuse(f"approvals of model {self.name!r} are not those of its states")

    @property
    def accuracy_known(self) -> bool:
        """Whether the private evaluation says that the model ranks better than chance."""
        overall = None if self.accuracy is None else self.accuracy.overall
        return overall is not None and beyond_chance(overall.auc, overall.margin)
