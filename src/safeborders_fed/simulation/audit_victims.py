"""Made-up victims for a privacy audit: those that the adversary knows, and the canaries.

Guarantees: records and their differences come from a seed; whether a canary is in the data comes from the
operating system's cryptographic source. No victim is a person.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from safeborders_fed.cases.contract import FIELDS, Kind, field

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2025
_KNOWN_VICTIMS: Final = 20
_SPAN: Final = LAST_YEAR - FIRST_YEAR + 1
_FORMS: Final = field("forms_of_exploitation").codes
LABEL: Final = _FORMS[0]
"""The form of exploitation that half of the canaries have, and that a model is to find."""
_BANDS: Final = len(field("age_band").codes)
_ACTUAL: Final = field("trafficking_status").codes.index("ActualVictimOfTrafficking")
_SINGLES: Final = tuple(entry for entry in FIELDS if entry.kind == Kind.SINGLE)
_MULTIS: Final = tuple(entry for entry in FIELDS if entry.kind == Kind.MULTI)


@dataclass(frozen=True)
class Canary:
    """A victim who may be in a node's data.

    Attributes:
        node: The node.
        table: The victim's records.
        present: Whether they are there: the toss of a fair coin.
    """

    node: str
    table: pa.Table
    present: bool


def known_victims(rng: np.random.Generator, node: str) -> pa.Table:
    """Random victims of a node, one record each, in the analysis schema."""
    count = _KNOWN_VICTIMS
    return _table(
        [f"{node} {index}" for index in range(count)],
        rng.integers(FIRST_YEAR, LAST_YEAR + 1, count),
        {entry.name: rng.integers(-1, len(entry.codes), count) for entry in _SINGLES},
        {entry.name: rng.integers(0, 2 ** len(entry.codes), count) for entry in _MULTIS},
    )


def make_canaries(rng: np.random.Generator, nodes: Sequence[str], per_node: int) -> tuple[Canary, ...]:
    """Victims that move a sum as far as one can, each another way.

    Each has many values. Half of a node's canaries have the form ``LABEL``, so that whichever way a model
    leans, it is wrong about some. Up to 286 have years and age bands that no two share. Each has two equal
    records, so that it shows when records are counted for victims.
    """
    return tuple(
        Canary(
            node=nodes[index % len(nodes)],
            table=_canary_records(rng, index, labelled=index // len(nodes) % 2 == 0),
            present=bool(secrets.randbits(1)),
        )
        for index in range(per_node * len(nodes))
    )


def _canary_records(rng: np.random.Generator, index: int, *, labelled: bool) -> pa.Table:
    singles = {entry.name: int(rng.integers(len(entry.codes))) for entry in _SINGLES}
    singles |= {"age_band": index % _BANDS, "trafficking_status": _ACTUAL}
    present = {entry.name: int(rng.integers(2 ** len(entry.codes))) for entry in _MULTIS}
    others = len(_FORMS) - 1
    present["forms_of_exploitation"] = 1 << (0 if labelled else 1 + index % others)
    return _table(
        [f"canary {index}"] * 2,
        np.repeat(FIRST_YEAR + index % _SPAN, 2),
        {name: np.repeat(at, 2) for name, at in singles.items()},
        {name: np.repeat(bits, 2) for name, bits in present.items()},
    )


def _table(
    victims: Sequence[str],
    years: NDArray[np.int64],
    singles: Mapping[str, NDArray[np.int64]],
    present: Mapping[str, NDArray[np.int64]],
) -> pa.Table:
    """Records in the analysis schema; position -1 of a single value is not known."""
    columns: dict[str, pa.Array] = {
        "victim": pa.array([_pseudonym(name) for name in victims]),
        "case": pa.array([_pseudonym(f"{name} case {row}") for row, name in enumerate(victims)]),
        "registration_date": pa.array((years - 1970).astype("datetime64[Y]").astype("datetime64[D]")),
        "registration_precision": pa.array(["year"] * len(victims)).dictionary_encode(),
    }
    for entry in _SINGLES:
        at = singles[entry.name]
        positions = pa.array(at.astype(np.int16), mask=at < 0)
        columns[entry.name] = pa.DictionaryArray.from_arrays(positions, pa.array(entry.codes, pa.string()))
    for entry in _MULTIS:
        known = np.full(len(victims), 2 ** len(entry.codes) - 1, dtype=np.uint32)
        columns[entry.name] = pa.array(present[entry.name].astype(np.uint32))
        columns[f"{entry.name}_known"] = pa.array(known)
    return pa.table(columns)


def _pseudonym(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
