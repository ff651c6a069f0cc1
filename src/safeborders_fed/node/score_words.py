"""Scores in words, for people who review referrals.

Guarantees: chances are whole percents, and never "none" or "certain"; no phrase says that somebody is or is
not anything; fields and values carry the labels of the data contract. Each phrase is made once, however many
referrals it stands at.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import Field, Kind, field
from safeborders_fed.cases.encoding import MINOR_BY_GROUP, Victims
from safeborders_fed.node.scoring import Scores
from safeborders_fed.study.model_file import Model

NOT_KNOWN: Final = "not known"
NONE_PRESENT: Final = "none of those that were looked for"
_LEVEL_EDGES: Final = np.array([0.1, 0.4, 1.0])
"""Log-odds between the words for a contribution."""
_STRENGTHS: Final = ("", "a little", "somewhat", "much")


_CHANCES: Final = ("below 1%", *(f"about {percent}%" for percent in range(1, 100)), "above 99%")
Texts = tuple[str, ...]


class Reasons(NamedTuple):
    """Why scores are what they are: for each referral, in their order.

    Attributes:
        raises: Fields that raise its score, the strongest first.
        lowers: Fields that lower it, the strongest first.
        unknown: Labels of the fields that are not known.
    """

    raises: list[Texts]
    lowers: list[Texts]
    unknown: list[Texts]


def chance_texts(chances: NDArray[np.float64]) -> list[str]:
    """Probabilities in whole percents."""
    return [_CHANCES[percent] for percent in np.rint(100 * chances).astype(np.int64).tolist()]


def target_text(target: str) -> str:
    """A label in words."""
    if target == "actual_victim":
        return "recorded as an actual victim of trafficking"
    if target == MINOR_BY_GROUP:
        return "recorded as a minor exploited by a group"
    code = target.partition(":")[2]
    label = next(value.label for value in field("forms_of_exploitation").values if value.code == code)
    return f"recorded with the form of exploitation: {label}"


def reasons(model: Model, victims: Victims, scores: Scores) -> Reasons:
    """The reasons of each score.

    Args:
        model: That made the scores.
        victims: The referrals, shape (n,).
        scores: Of them.
    """
    entries = [entry for entry, _ in model.analysis.column_fields()]
    sizes = np.digitize(np.abs(scores.contributions), _LEVEL_EDGES)
    levels = np.where(scores.contributions < 0, -sizes, sizes)
    texts = np.empty(levels.shape, dtype=object)
    unknown = np.zeros(levels.shape, dtype=np.bool_)
    for index, entry in enumerate(entries):
        numbers, values = _values(victims, entry)
        texts[:, index] = _phrases(entry, numbers, values, levels[:, index])
        unknown[:, index] = np.array([value == NOT_KNOWN for value in values], dtype=np.bool_)[numbers]
    # By contribution, the largest first: what raises stands at the beginning, what lowers at the end.
    order = np.argsort(-scores.contributions, axis=1, kind="stable")
    ordered = np.take_along_axis(texts, order, axis=1).tolist()
    raising, lowering = (levels > 0).sum(axis=1).tolist(), (levels < 0).sum(axis=1).tolist()
    return Reasons(
        raises=[tuple(row[:up]) for row, up in zip(ordered, raising, strict=True)],
        lowers=[tuple(row[::-1][:down]) for row, down in zip(ordered, lowering, strict=True)],
        unknown=_missing(unknown, [entry.label for entry in entries]),
    )


def _values(victims: Victims, entry: Field) -> tuple[NDArray[np.int64], list[str]]:
    """For each referral the number of its value, and the value of each number in words."""
    if entry.kind == Kind.SINGLE:
        labels = [*(value.label for value in entry.values), NOT_KNOWN]
        codes = victims.singles[entry.name].astype(np.int64)
        return np.where(codes < 0, len(labels) - 1, codes), labels
    present = victims.present[entry.name].astype(np.int64)
    # One bit more than a field has values says that something is known.
    something = np.int64(1) << len(entry.values)
    bits = present | np.where(victims.known[entry.name] != 0, something, 0)
    different, numbers = np.unique(bits, return_inverse=True)
    return numbers, [_several(entry, int(found), int(something)) for found in different]


def _several(entry: Field, bits: int, something: int) -> str:
    if not bits & something:
        return NOT_KNOWN
    labels = [value.label for index, value in enumerate(entry.values) if bits >> index & 1]
    return ", ".join(labels) or NONE_PRESENT


def _phrases(
    entry: Field, numbers: NDArray[np.int64], values: list[str], levels: NDArray[np.int64]
) -> NDArray[np.object_]:
    """One phrase for each referral, shape (n,); those of equal value and level are one object."""
    width = 2 * len(_STRENGTHS)
    mixtures = numbers * width + levels + len(_STRENGTHS)
    made = np.empty(len(values) * width, dtype=object)
    for mixed in np.flatnonzero(np.bincount(mixtures)).tolist():
        level = mixed % width - len(_STRENGTHS)
        effect = "raises" if level > 0 else "lowers"
        strength = _STRENGTHS[abs(level)]
        made[mixed] = f"{entry.label}: {values[mixed // width]} — {effect} the score {strength}"
    phrases: NDArray[np.object_] = made[mixtures]
    return phrases


def _missing(unknown: NDArray[np.bool_], labels: list[str]) -> list[Texts]:
    """Labels of the fields that are not known, for each referral."""
    powers = np.int64(1) << np.arange(len(labels), dtype=np.int64)
    different, places = np.unique(unknown @ powers, return_inverse=True)
    made = [
        tuple(label for index, label in enumerate(labels) if bits >> index & 1) for bits in different.tolist()
    ]
    return [made[place] for place in places.tolist()]
