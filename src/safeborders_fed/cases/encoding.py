"""From the analysis table to arrays: one entry for each victim, values as public bins.

Unit: a victim with all their records. Records are merged before anything is computed: of several records of
one victim the latest registered decides each single value (an earlier one fills what the latest leaves
open), and multi-valued fields are united. So each victim is exactly one row of every array made here.

Guarantees: bins come from the data contract alone; the row of a victim depends on that victim's records
alone; whether a victim is held out depends on the keyed pseudonym alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from safeborders_fed.cases.contract import MINOR_BANDS, UNKNOWN, Field, Kind, field
from safeborders_fed.errors import RefusedError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

FOLDS: Final = 100
"""Held-out shares are counted in hundredths."""

UNLABELLED: Final = -1
NO_VICTIM: Final = "NotAVictimOfTrafficking"
MINOR_BY_GROUP: Final = "minor_exploited_by_group"
ABOUT_OTHERS: Final = ("exploiter", "exploiter_relationship", "recruiter_relationship", "roles")
"""Fields that describe recruiters and exploiters: features of a case, never labels."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What a node's book of hits says of one victim: with whom, and by which types of identifier.

    Attributes:
        partners: States with which a hit on an identifier in this victim's cases was exchanged.
        kinds: Types of those identifiers.
    """

    partners: frozenset[str]
    kinds: frozenset[str]


@dataclass(frozen=True)
class Victims:
    """The victims of one snapshot, one entry each.

    Attributes:
        pseudonyms: str, shape (n,), sorted: 32 hexadecimal digits each.
        years: int16, shape (n,): year of the latest registration.
        quarters: int8, shape (n,): quarter (1 to 4) of that registration; 0 where only its year is known.
        links: Pseudonym to what is known of a victim's links; who is not there has none.
        singles: field name to int16, shape (n,): position in the field's codes, -1 for not known.
        present: field name to uint32, shape (n,): bit i says that the i-th code is present.
        known: field name to uint32, shape (n,): bit i says that it is known whether the i-th is present.
    """

    pseudonyms: NDArray[np.str_]
    years: NDArray[np.int16]
    singles: dict[str, NDArray[np.int16]]
    present: dict[str, NDArray[np.uint32]]
    known: dict[str, NDArray[np.uint32]]
    quarters: NDArray[np.int8]
    links: Mapping[str, Linked] = attribute(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pseudonyms)

    def take(self, chosen: NDArray[np.bool_]) -> Victims:
        """Only the victims where ``chosen`` (bool, shape (n,)) holds."""
        return Victims(
            self.pseudonyms[chosen],
            self.years[chosen],
            {name: column[chosen] for name, column in self.singles.items()},
            {name: column[chosen] for name, column in self.present.items()},
            {name: column[chosen] for name, column in self.known.items()},
            self.quarters[chosen],
            self.links,
        )

    def minors(self) -> NDArray[np.bool_]:
        """bool, shape (n,): under 18 at registration."""
        codes = field("age_band").codes
        return np.isin(self.singles["age_band"], [codes.index(band) for band in MINOR_BANDS])

    def of_population(self, population: str) -> NDArray[np.bool_]:
        """bool, shape (n,): who was not found to be no victim and, for ``minors``, was a minor.

        ``trafficking_status`` must have been merged, and ``age_band`` for minors.

        Raises:
            RefusedError: ``unknown-population``.
        """
        if population not in {"all", "minors"}:
            raise RefusedError("unknown-population", f"{population!r} is no population", "upgrade this node")
        codes = field("trafficking_status").codes
        counted: NDArray[np.bool_] = self.singles["trafficking_status"] != codes.index(NO_VICTIM)
        return counted & self.minors() if population == "minors" else counted

    def held_out(self, percent: int) -> NDArray[np.bool_]:
        """bool, shape (n,): the given share (0 to 100) by the pseudonym, which is a keyed hash already."""
        draws = np.array([int(pseudonym[:8], 16) % FOLDS for pseudonym in self.pseudonyms], dtype=np.int64)
        return draws < percent


def merge(
    table: pa.Table, fields: Sequence[Field], links: Callable[[], Mapping[str, Linked]] | None = None
) -> Victims:
    """The victims of an analysis table (``cases.store``), with the given single and multi fields.

    The date of registration is always read: it decides which record is the latest.

    Args:
        table: The analysis table.
        fields: What to merge.
        links: Reads the node's book of hits; asked only if the links are among ``fields``. Without it
            nobody has one.
    """
    singles = [entry for entry in fields if entry.kind == Kind.SINGLE]
    multis = [entry for entry in fields if entry.kind == Kind.MULTI]
    frame = pd.DataFrame(
        {
            "victim": table["victim"].to_numpy(zero_copy_only=False).astype(str),
            "case": table["case"].to_numpy(zero_copy_only=False).astype(str),
            "date": table["registration_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]"),
            "year_only": table["registration_precision"].to_numpy(zero_copy_only=False).astype(str) == "year",
        }
    )
    for entry in singles:
        frame[entry.name] = _positions(table[entry.name], entry)
    for entry in multis:
        for column in (entry.name, f"{entry.name}_known"):
            frame[column] = table[column].to_numpy(zero_copy_only=False).astype(np.uint32)
    # The case pseudonym breaks ties of dates, so that the order of rows in the store never matters.
    frame = frame.sort_values(["victim", "date", "case"], kind="stable")
    starts = np.flatnonzero(~frame["victim"].duplicated().to_numpy()) if len(frame) else np.zeros(0, np.int64)
    years = frame["date"].to_numpy().astype("datetime64[Y]").astype(np.int64) + 1970
    months = frame["date"].to_numpy().astype("datetime64[M]").astype(np.int64) % 12
    quarters = np.where(frame["year_only"].to_numpy(), 0, months // 3 + 1)
    ends = np.append(starts[1:], len(frame)) - 1 if len(frame) else starts

    def last_known(name: str) -> NDArray[np.int16]:
        column = frame[name].where(frame[name] >= 0)
        latest = column.groupby(frame["victim"], sort=False).last()
        return latest.fillna(-1).to_numpy().astype(np.int16)

    def united(column: str) -> NDArray[np.uint32]:
        values = frame[column].to_numpy().astype(np.uint32)
        return np.bitwise_or.reduceat(values, starts) if len(starts) else values

    return Victims(
        pseudonyms=frame["victim"].to_numpy().astype(np.str_)[starts],
        years=years[ends].astype(np.int16),
        singles={entry.name: last_known(entry.name) for entry in singles},
        present={entry.name: united(entry.name) for entry in multis},
        known={entry.name: united(f"{entry.name}_known") for entry in multis},
        quarters=quarters[ends].astype(np.int8),
        links=links() if links is not None and any(entry.kind == Kind.LINK for entry in fields) else {},
    )


def _positions(column: pa.ChunkedArray, entry: Field) -> NDArray[np.int16]:
    """Positions in the contract of a dictionary column's values; -1 for null."""
    position = {code: index for index, code in enumerate(entry.codes)}
    parts = []
    for chunk in column.chunks:
        lookup = np.array([position[code] for code in chunk.dictionary.to_pylist()] + [-1], dtype=np.int16)
        indices = chunk.indices.fill_null(len(lookup) - 1).to_numpy(zero_copy_only=False)
        parts.append(lookup[indices])
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)


def bin_names(entry: Field) -> tuple[str, ...]:
    """The columns that a field becomes: its bins, then one for not known."""
    return (*entry.bins, UNKNOWN)


def single_bins(victims: Victims, entry: Field) -> NDArray[np.int64]:
    """int64, shape (n,): position of each victim's bin in ``bin_names(entry)``."""
    bins = bin_names(entry)
    lookup = np.array([bins.index(value.bin) for value in entry.values] + [len(bins) - 1], dtype=np.int64)
    return lookup[victims.singles[entry.name]]  # -1, not known, is the last


def design(victims: Victims, fields: Sequence[Field]) -> csr_array:
    """One-hot features: int64, shape (n, sum of ``len(bin_names(field))``), values 0 and 1, sparse.

    A single field sets exactly one of its columns. A multi field sets one for each value present, and its
    last one if nothing is known of it.
    """
    everyone = np.arange(len(victims))
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    start = 0
    for entry in fields:
        width = len(bin_names(entry))
        if entry.kind == Kind.SINGLE:
            rows.append(everyone)
            columns.append(start + single_bins(victims, entry))
        else:
            present, nothing = victims.present[entry.name], victims.known[entry.name] == 0
            for index in range(width - 1):
                having = np.flatnonzero((present >> np.uint32(index)) & 1)
                rows.append(having)
                columns.append(np.full(len(having), start + index))
            rows.append(everyone[nothing])
            columns.append(np.full(int(nothing.sum()), start + width - 1))
        start += width
    row, column = np.concatenate([*rows, everyone[:0]]), np.concatenate([*columns, everyone[:0]])
    shape = (len(victims), start)
    return csr_array((np.ones(len(row), dtype=np.int64), (row, column)), shape=shape)


def target_fields(target: str) -> tuple[Field, ...]:
    """The fields that a target is derived from; none of them may be among the features.

    Args:
        target: ``actual_victim``; ``form:CODE`` with a form of exploitation; ``minor_exploited_by_group``.

    Raises:
        RefusedError: ``label-about-suspect``, for a field that describes somebody else than the victim.
        UsageError: ``unknown-target``.
    """
    if target == "actual_victim":
        return (field("trafficking_status"),)
    if target == MINOR_BY_GROUP:
        return (field("age_band"), field("exploiter"))
    forms = field("forms_of_exploitation")
    if target.startswith("form:") and target.removeprefix("form:") in forms.codes:
        return (forms,)
    if target.partition(":")[0] in ABOUT_OTHERS:
        raise RefusedError(
            "label-about-suspect",
            f"{target!r} describes another person than the victim, and nobody is scored for a propensity to "
            "offend",
            "choose a sign of victimhood: actual_victim, form:CODE or minor_exploited_by_group",
        )
    raise UsageError(
        "unknown-target",
        f"{target!r} is not a label that the data contract knows",
        "use actual_victim, minor_exploited_by_group, or form: and a form of exploitation such as "
        "form:SexualExploitation",
    )


def labels(victims: Victims, target: str) -> NDArray[np.int8]:
    """int8, shape (n,): 1, 0, or -1 where the label is not known.

    Args:
        victims: Merged with the fields that the target is derived from.
        target: ``actual_victim`` (actual against not a victim; possible is not known), ``form:CODE`` (a form
            of exploitation, where it is known whether it is present), or ``minor_exploited_by_group`` (not
            where age or exploiter are not known, unless the other of the two already rules it out).

    Raises:
        RefusedError: ``label-about-suspect``.
        UsageError: ``unknown-target``.
    """
    entry = target_fields(target)[0]
    labelled = np.full(len(victims), UNLABELLED, dtype=np.int8)
    if target == "actual_victim":
        status = victims.singles[entry.name]
        labelled[status == entry.codes.index("ActualVictimOfTrafficking")] = 1
        labelled[status == entry.codes.index(NO_VICTIM)] = 0
        return labelled
    if target == MINOR_BY_GROUP:
        exploiter = victims.singles["exploiter"]
        by_group = exploiter == field("exploiter").codes.index("Group")
        adult = (victims.singles["age_band"] >= 0) & ~victims.minors()
        labelled[victims.minors() & by_group] = 1
        labelled[adult | ((exploiter >= 0) & ~by_group)] = 0
        return labelled
    bit = np.uint32(1 << entry.codes.index(target.removeprefix("form:")))
    present = (victims.present[entry.name] & bit) != 0
    known = (victims.known[entry.name] & bit) != 0
    return np.where(known, present.astype(np.int8), np.int8(UNLABELLED)).astype(np.int8)
