"""Rows that an import leaves out: of victims who were erased, and of cases past their retention period.

Guarantees: an erased victim is remembered by a keyed hash of the pseudonym alone, under a key derived from
the one for pseudonyms; no id and no pseudonym is kept, and without the node's keys nobody can test a guess.
The list is sealed besides, so that its length is all that the disk shows.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from safeborders_fed.cases.contract import MINOR_BANDS, field
from safeborders_fed.cases.keys import KEY_BYTES, NodeKeys
from safeborders_fed.cases.snapshots import StoreFiles

FILE: Final = "erased.sealed"
_MINORS: Final = tuple(field("age_band").codes.index(code) for code in MINOR_BANDS)
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Remembered(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    victims: tuple[_Digest, ...] = Field(strict=False)


class Tombstones:
    """The erased victims of one store, as they are on the disk now.

    Raises:
        ConfigurationError: ``wrong-key``, when the list is not this store's.
    """

    def __init__(self, files: StoreFiles, keys: NodeKeys) -> None:
        info = b"safeborders erased victims v1"
        self._key = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(keys.pseudonym)
        self._files = files
        self.digests: frozenset[str] = frozenset()
        if self.path.exists():
            content = files.sealer.unseal(self.path.read_bytes(), FILE)
            self.digests = frozenset(_Remembered.model_validate_json(content).victims)

    @property
    def path(self) -> Path:
        """Where the list is."""
        return self._files.directory / FILE

    def digest(self, pseudonym: str) -> str:
        """What a victim is remembered by."""
        return hmac.digest(self._key, pseudonym.encode("ascii"), "sha256").hex()

    def holds(self, pseudonym: str) -> bool:
        """Whether a victim was erased."""
        return bool(self.digests) and self.digest(pseudonym) in self.digests

    def content(self, digests: Iterable[str]) -> bytes:
        """What the file is to hold, for these victims."""
        return sealed_list(self._files, digests)


def sealed_list(files: StoreFiles, digests: Iterable[str]) -> bytes:
    """What the list of erased victims is on the disk of a store."""
    plain = _Remembered(victims=tuple(sorted(digests))).model_dump_json().encode()
    return files.sealer.seal(plain, FILE)


@dataclass(frozen=True)
class Cutoffs:
    """Cases registered on one of these days or before are past their retention period.

    Attributes:
        others: For cases of adults, and of victims whose age is not known unless ``minors`` is earlier.
        minors: For cases of victims who were under 18.
    """

    others: date
    minors: date

    def expired(self, rows: pa.Table) -> NDArray[np.bool_]:
        """bool, shape (n,): which rows (of ``tables.CASES_STORED``) are past their period.

        A date that is known to the month or year counts as its first day: sooner rather than later.
        """
        days = rows["registration_date"].cast(pa.int32()).to_numpy()
        ages = rows["age_band"].fill_null(-1).to_numpy()
        epoch = date(1970, 1, 1)
        others, minors = (self.others - epoch).days, (self.minors - epoch).days
        last = np.where(np.isin(ages, _MINORS), minors, np.where(ages < 0, max(others, minors), others))
        return np.asarray(days <= last)


@dataclass(frozen=True)
class Withheld:
    """What an import leaves out.

    Attributes:
        erased: Pseudonyms are looked up here; None to let erased victims in again.
        cutoffs: Cases past their period; None to keep all.
    """

    erased: Tombstones | None = None
    cutoffs: Cutoffs | None = None

    @property
    def knows_erased(self) -> bool:
        """Whether anybody is on the list, and the list counts."""
        return self.erased is not None and bool(self.erased.digests)

    def of_erased(self, pseudonyms: Collection[str]) -> NDArray[np.bool_]:
        """bool, shape (n,): whose victims were erased."""
        found = np.zeros(len(pseudonyms), dtype=np.bool_)
        if self.erased is not None and self.erased.digests:
            known = {name: self.erased.holds(name) for name in set(pseudonyms)}
            found[:] = [known[name] for name in pseudonyms]
        return found

    def expired(self, rows: pa.Table) -> NDArray[np.bool_]:
        """bool, shape (n,): which rows are past their period."""
        if self.cutoffs is None:
            return np.zeros(rows.num_rows, dtype=np.bool_)
        return self.cutoffs.expired(rows)
