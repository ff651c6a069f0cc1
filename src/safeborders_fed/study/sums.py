"""What contributions, sums and broadcasts are held to: by the round loop, and by whoever replays it.

Guarantees: pure; a contribution that ``check_contribution`` lets pass was signed by its node for exactly this
attempt and has the length that the manifest states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import Analysis, Arrays, Stage
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Message, Round
from safeborders_fed.study.model_file import Model

TOLERANCE: Final = 1e-9
"""How far numbers may differ between two machines, relative to the largest of their array."""


def starting_arrays(manifest: Manifest, model: Model) -> Arrays:
    """The arrays of a published model that a study starts from.

    Raises:
        RefusedError: ``wrong-warm-start``, when it is not the model that the manifest names, or of another
            kind or other columns.
    """
    named = manifest.parameters.get("warm_start")
    same_columns = model.head.parameters["features"] == manifest.parameters.get("features")
    if model.sha256 != named or model.head.kind != manifest.analysis or not same_columns:
        raise RefusedError(
            "wrong-warm-start",
            f"model {model.head.id} is not the one that study {manifest.id!r} names to start from, or has "
            "another kind or other columns",
            "give the file whose SHA-256 the manifest has in `warm_start`",
        )
    return model.arrays


def stages_by_round(analysis: Analysis[Any, Any, Any]) -> list[Stage]:
    """The stage of each round."""
    return [stage for stage in analysis.stages() for _ in range(stage.rounds)]


def check_contribution(
    message: Message, node: str, request: Round, dimension: int, public: str
) -> Contribution:
    """A node's answer to an attempt.

    Raises:
        PeerError: ``wrong-reply``, when it answers something else, or ``bad-signature``.
    """
    if (
        not isinstance(message, Contribution)
        or message.node != node
        or message.key != request.key
        or message.vector.shape != (dimension,)
    ):
        raise wrong_reply(node)
    message.check(public)
    # The head is shown to all others in the next round, each of whom would refuse a wrong one.
    message.head.check(public, node)
    if message.head.study != request.study:
        raise wrong_reply(node)
    return message


def wrong_reply(node: str) -> PeerError:
    """The error for a reply to another question, or in another node's name."""
    return PeerError("wrong-reply", f"{node} answered something else", "look at the node")


def add_up(vectors: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """The sum modulo 2^64, read as signed: int64, shape (dimension,)."""
    total = np.zeros_like(vectors[0])
    for vector in vectors:
        total = total + vector
    return total.view(np.int64)


def is_plausible(manifest: Manifest, stage: Stage, total: NDArray[np.int64], participants: int) -> bool:
    """Whether so many honest nodes can have made a sum.

    Masks that did not cancel leave numbers all over 64 bits. An honest sum has at most the norm of so many
    victims at the bound; the noise exceeds ``sigma (sqrt(d) + 20)`` with probability below exp(-200).
    """
    honest = participants * manifest.max_victims * stage.bound
    noise = manifest.noise(stage.name, participants) * (math.sqrt(total.size) + 20)
    return float(np.linalg.norm(total.astype(np.float64))) <= (honest + noise) * (1 + 1e-9)


def implausible(manifest: Manifest, stage: Stage) -> PeerError:
    """The error for a sum that is not plausible."""
    return PeerError(
        "implausible-sum",
        f"study {manifest.id!r} failed: a sum of stage {stage.name} is implausible; not all "
        "nodes were asked the same, or one of them does not follow the protocol",
        "compare what each node was sent; repeat in trust mode local to see each contribution",
    )


def same_arrays(one: Mapping[str, NDArray[np.float64]], other: Mapping[str, NDArray[np.float64]]) -> bool:
    """Whether two broadcasts are the same but for ``TOLERANCE``."""
    return one.keys() == other.keys() and all(same_array(array, other[name]) for name, array in one.items())


def same_array(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two arrays are the same but for ``TOLERANCE``; what is not finite must be the same exactly."""
    if one.shape != other.shape:
        return False
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    left, right = one[finite], other[finite]
    if not left.size:
        return True
    scale = max(float(np.abs(left).max()), float(np.abs(right).max()))
    return bool((np.abs(left - right) <= TOLERANCE * scale).all())
