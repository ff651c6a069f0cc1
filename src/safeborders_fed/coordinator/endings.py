"""Why a study could not begin or go on, in words for the operator."""

from __future__ import annotations

from collections.abc import Mapping

from safeborders_fed.coordinator.federation import in_words
from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.study.manifest import Manifest


def too_few_joined(manifest: Manifest, joined: int, failures: Mapping[str, str]) -> PeerError:
    """The error for a study that too few nodes joined; ``failures`` says what the others did instead."""
    return PeerError(
        "too-few-joined",
        f"study {manifest.id!r} has not begun: {joined} nodes joined, {manifest.minimum_participants} are "
        f"needed ({_told(failures)})",
        "find out at those nodes why they did not join, then resume the study; nothing was spent",
    )


def too_few_nodes(manifest: Manifest, number: int, left: int, failures: Mapping[str, str]) -> PeerError:
    """The error for a study that lost too many nodes in one round."""
    return PeerError(
        "too-few-nodes",
        f"study {manifest.id!r} failed in round {number + 1}: {left} nodes are left, "
        f"{manifest.minimum_participants} are needed ({_told(failures)})",
        "find out at those nodes why they did not answer, then draft a new study",
    )


def retries_exhausted(manifest: Manifest, number: int, failures: Mapping[str, str]) -> PeerError:
    """The error for a study that would need more attempts than its nodes have reserved."""
    return PeerError(
        "retries-exhausted",
        f"study {manifest.id!r} failed in round {number + 1}: its {manifest.retries} retries are used up "
        f"({_told(failures)})",
        "find out at those nodes why they did not answer, then draft a new study",
    )


def defect(manifest: Manifest, error: Exception) -> DefectError:
    """The error for an analysis that broke down, without the text of what broke, which may hold numbers."""
    return DefectError(
        "study-defect",
        f"study {manifest.id!r} failed: {type(error).__name__} in its analysis",
        "report this to the developers",
    )


def _told(failures: Mapping[str, str]) -> str:
    return "; ".join(f"{node}: {in_words(what)}" for node, what in sorted(failures.items()))
