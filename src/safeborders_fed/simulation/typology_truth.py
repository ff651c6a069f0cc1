"""Released typologies beside those that the synthetic files were made of.

Guarantees: nothing here is part of a federation. It runs where one process sees all data. Victims are matched
by their keys in the national files; persons whom the study did not count are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import Setting
from safeborders_fed.cases.encoding import merge

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from safeborders_fed.analyses.base import Release
    from safeborders_fed.analyses.typology import Typology


_NO_NOISE: Final = 1.0
"""One grid unit: a 2^28th of what one victim adds at most."""


@dataclass(frozen=True)
class Recovery:
    """How far a release found what was planted.

    Attributes:
        agreement: Adjusted Rand index of victims' likeliest typologies against the planted ones: 1 is
            perfect, 0 what chance reaches. None without two victims.
        planted: Names of planted typologies.
        found: Names of released ones.
        victims: int64, shape (planted, found): how many victims of each are likeliest of each.
    """

    agreement: float | None
    planted: tuple[str, ...]
    found: tuple[str, ...]
    victims: NDArray[np.int64]

    def counterpart(self, name: str) -> tuple[str, float] | None:
        """The planted typology that most victims of a released one are of, and their share of it."""
        column = self.victims[:, self.found.index(name)]
        if not column.sum():
            return None
        best = int(column.argmax())
        return self.planted[best], float(column[best] / column.sum())


def compare(
    analysis: Typology,
    release: Release,
    tables: Mapping[str, pa.Table],
    keys: Mapping[str, pa.Table],
    truth: dict[str, Any],
) -> Recovery:
    """Judges a release against ``truth.json``.

    Args:
        analysis: With the parameters of the study.
        release: What it published.
        tables: Each node's analysis table (``CaseStore.cases``).
        keys: Each node's national keys (``CaseStore.raw_keys``).
        truth: The planted truth.
    """
    planted = tuple(truth["typologies"])
    found = tuple(entry["name"] for entry in release.facts["classes"])
    truths, likeliest = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for node, table in tables.items():
        victims = merge(table, analysis.fields())
        victims = victims.take(analysis.counted(victims))
        persons = truth["persons"][node]
        typology = dict(zip(persons["victim_id"], persons["typology"], strict=True))
        columns = keys[node].select(["victim", "victim_id"]).to_pydict()
        of_pseudonym = dict(zip(columns["victim"], columns["victim_id"], strict=True))
        if not found:
            continue
        own = [planted.index(typology[of_pseudonym[pseudonym]]) for pseudonym in victims.pseudonyms.tolist()]
        truths.append(np.array(own, dtype=np.int64))
        likeliest.append(analysis.responsibilities(release, analysis.prepare(victims, node)).argmax(axis=1))
    together = np.zeros((len(planted), len(found)), dtype=np.int64)
    np.add.at(together, (np.concatenate(truths), np.concatenate(likeliest)), 1)
    return Recovery(adjusted_rand_index(together), planted, found, together)


def without_privacy(analysis: Typology, tables: Mapping[str, pa.Table]) -> Release:
    """What the same method finds with exact sums over all nodes."""
    prepared = [
        analysis.prepare(merge(table, analysis.fields()), node) for node, table in sorted(tables.items())
    ]
    most = sum(table.num_rows for table in tables.values()) + 1
    state = analysis.start(Setting(len(prepared), {}))
    for stage in analysis.stages():
        for _ in range(stage.rounds):
            broadcast = analysis.broadcast(state)
            parts = [analysis.contribute(rows, stage, broadcast, most).values for rows in prepared]
            total: NDArray[np.int64] = np.sum(parts, axis=0)
            state = analysis.advance(state, total, _NO_NOISE)
    return analysis.result(state)


def adjusted_rand_index(together: NDArray[np.int64]) -> float | None:
    """Of two partitions, from how many they have in common; Hubert and Arabie 1985, equation 5.

    Args:
        together: Shape (parts of one, parts of the other).

    Returns:
        1 for the same partition, about 0 for unrelated ones; None for fewer than two members.
    """
    pairs = float(_pairs(together.sum()))
    if not pairs:
        return None
    rows, columns = float(_pairs(together.sum(axis=1)).sum()), float(_pairs(together.sum(axis=0)).sum())
    chance = rows * columns / pairs
    largest = (rows + columns) / 2
    if largest == chance:  # both put everybody together, or everybody apart
        return 1.0
    return (float(_pairs(together).sum()) - chance) / (largest - chance)


def _pairs(counts: NDArray[np.int64] | np.int64) -> NDArray[np.float64]:
    numbers = np.asarray(counts, dtype=np.float64)
    found: NDArray[np.float64] = numbers * (numbers - 1) / 2
    return found
