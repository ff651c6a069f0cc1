"""An analysis over rows that a benchmark holds, instead of the data contract's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from safeborders_fed.analyses.learner import Learned, Rows
from safeborders_fed.analyses.newton import Newton, NewtonParameters
from safeborders_fed.privacy.products import Indicators

if TYPE_CHECKING:
    from safeborders_fed.cases.contract import Field
    from safeborders_fed.cases.encoding import Victims


def take(rows: Rows, chosen: NDArray[Any]) -> Rows:
    return Rows(Indicators(rows.features.matrix[chosen]), rows.target[chosen])


class RowsAnalysis(Learned[NewtonParameters]):
    """The learner of the logistic analysis. ``rows`` are set before a study runs."""

    name = "rows"
    parameters_type = NewtonParameters
    rows: ClassVar[Rows]

    def __init__(self, parameters: NewtonParameters) -> None:
        super().__init__(parameters)
        columns = self.rows.features.shape[1]
        self.learner = Newton(columns, rounds=parameters.rounds, clip=parameters.clip)

    def fields(self) -> tuple[Field, ...]:
        return ()

    def prepare(self, victims: Victims, node: str) -> Rows:
        del node
        return take(self.rows, np.array([int(pseudonym, 16) for pseudonym in victims.pseudonyms], np.int64))


def analysis_table(chosen: NDArray[np.int64]) -> pa.Table:
    """Records whose pseudonyms are positions in the rows: what a node's store holds."""
    names = [f"{position:032x}" for position in chosen]
    nothing = pa.array([None] * len(names), pa.string()).dictionary_encode()
    days = np.full(len(names), np.datetime64("2020-01-01"))
    return pa.table({"victim": names, "case": names, "registration_date": days, "age_band": nothing})
