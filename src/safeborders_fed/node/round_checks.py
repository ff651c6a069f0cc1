"""What every request of a round must be before a node looks at its cases, and the words for a no.

Guarantees: public inputs alone decide here: the request, the manifest, the analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from safeborders_fed.errors import PeerError
from safeborders_fed.study.messages import Reason

if TYPE_CHECKING:
    from safeborders_fed.analyses.base import Analysis, Stage
    from safeborders_fed.study.manifest import Manifest
    from safeborders_fed.study.messages import Round

REASONS: Final = {
    "not-approved": Reason.NOT_APPROVED,
    "study-expired": Reason.EXPIRED,
    "study-ended": Reason.EXPIRED,
    "attempt-replayed": Reason.REPLAYED,
    "budget-exhausted": Reason.BUDGET,
    "reservation-exhausted": Reason.BUDGET,
    "policy": Reason.POLICY,
    "closed": Reason.CLOSED,
    "ledger-disputed": Reason.LEDGER,
    "too-few-witnesses": Reason.LEDGER,
    "wrong-protocol": Reason.VERSION,
    "not-enough-approvals": Reason.NOT_APPROVED,
    "unknown-study": Reason.NOT_APPROVED,
    "link-off": Reason.POLICY,
    "link-epoch": Reason.EXPIRED,
}
"""What the coordinator is told for an error's code; everything else is malformed or unavailable."""


def stage_of_round(analysis: Analysis[Any, Any, Any], request: Round) -> Stage:
    """The stage that the manifest gives to a round number: a coordinator cannot choose another.

    Raises:
        PeerError: ``malformed-request``.
    """
    first = 0
    for stage in analysis.stages():
        if first <= request.round < first + stage.rounds and request.stage == stage.name:
            return stage
        first += stage.rounds
    raise malformed(f"round {request.round} is not one of stage {request.stage!r}")


def check_broadcast(analysis: Analysis[Any, Any, Any], request: Round) -> None:
    """Requires the arrays that the stage expects, of finite numbers. Raises ``malformed-request``."""
    shapes = {name: array.shape for name, array in request.broadcast.items()}
    if shapes != analysis.expects(request.stage):
        raise malformed("its broadcast has not the expected arrays")
    if not all(np.isfinite(array).all() for array in request.broadcast.values()):
        raise malformed("its broadcast holds numbers that are not finite")


def check_participants(node: str, manifest: Manifest, request: Round) -> None:
    """Requires this node among enough of the study's participants. Raises ``malformed-request``."""
    named = request.participants
    if list(named) != sorted(set(named)) or not set(named) <= set(manifest.participants):
        raise malformed("its participants are not a sorted subset of the study's")
    if node not in named or len(named) < manifest.minimum_participants:
        raise malformed("this node is not among its participants, or they are too few")


def malformed(what: str) -> PeerError:
    """The error for a request that no honest coordinator sends."""
    return PeerError(
        "malformed-request", f"a request was refused: {what}", "check the coordinator's version and manifest"
    )
