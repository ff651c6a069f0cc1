"""What reviewers think of scored referrals, kept encrypted at the node.

Layout, in the node's home directory::

    reviews/LIST.list.sealed        which referrals a list holds: pseudonym, band, chance
    reviews/LIST.verdicts.sealed    all verdicts on it, in the order in which they were given

Guarantees: lists and verdicts are case data. They are sealed under a key derived from the node's key for
cases, and no other module reads them: they never leave the node. A verdict is on a referral of a list that
this node made. A person's later verdict replaces the earlier one, which stays in the history. Of a victim who
is erased, the number on a list stays and nothing else.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.cases.sealing import Sealer
from safeborders_fed.cases.snapshots import sync_directory, write_durably
from safeborders_fed.cases.staging import Staged
from safeborders_fed.errors import ConfigurationError, DataError
from safeborders_fed.node.review_list import ALL_BANDS, LIST_ID, ReviewList

DIRECTORY: Final = "reviews"
VERDICTS: Final = ("agree", "disagree", "unsure")
LONGEST_NOTE: Final = 2000
_LIST: Final = ".list.sealed"
_GIVEN: Final = ".verdicts.sealed"
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid")


class _Listed(BaseModel):
    model_config = _STRICT

    victim: str
    band: str
    chance: str

    @property
    def is_erased(self) -> bool:
        """Whether it was about a victim who was erased: its number stays, and nothing else."""
        return not self.victim


_NOBODY: Final = _Listed(victim="", band="", chance="")


class _List(BaseModel):
    model_config = _STRICT

    model: str
    sha256: str
    entries: tuple[_Listed, ...]


class Verdict(BaseModel):
    """One person's view of one score.

    Attributes:
        number: Of the referral within its list, from 1.
        verdict: Whether the score is what the reviewer would have said of the referral.
        by: Name of the reviewer.
        note: Free text.
        at: Time, ISO 8601, UTC.
    """

    model_config = _STRICT

    number: int = Limit(ge=1)
    verdict: Literal["agree", "disagree", "unsure"]
    by: Annotated[str, Limit(min_length=1, max_length=200)]
    note: Annotated[str, Limit(max_length=LONGEST_NOTE)]
    at: str


class _Given(BaseModel):
    model_config = _STRICT

    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """A verdict to be recorded, with the review id that it is on."""

    review_id: str
    verdict: str
    note: str = ""


@dataclass(frozen=True)
class BandSummary:
    """Agreement with the scores of one band of one model.

    Attributes:
        model: ``NAME-VERSION``.
        band: One of ``review_list.ALL_BANDS``.
        referrals: How many were listed.
        reviewed: How many of them somebody reviewed.
        agree: Verdicts that count (each person's last on a referral).
        disagree: Likewise.
        unsure: Likewise.
    """

    model: str
    band: str
    referrals: int
    reviewed: int
    agree: int
    disagree: int
    unsure: int


Content = TypeVar("Content", bound=BaseModel)


class Reviews:
    """The review lists of one node, and the verdicts on them.

    Args:
        home: The node's directory.
        sealer: That of its case store.
        require_current: Raises if the store has other keys by now: nothing is written under the old ones.
    """

    def __init__(
        self, home: Path, sealer: Sealer, require_current: Callable[[], None] = lambda: None
    ) -> None:
        self._directory = Path(home) / DIRECTORY
        self._sealer = sealer
        self._require_current = require_current

    def keep(self, review: ReviewList) -> None:
        """Remembers a list.

        Raises:
            ConfigurationError: ``reviews-unwritable``.
        """
        entries = tuple(
            _Listed(victim=victim, band=entry.band, chance=entry.chance)
            for victim, entry in zip(review.victims, review.entries, strict=True)
        )
        with self.writing():
            self._write(
                f"{review.id}{_LIST}", _List(model=review.model, sha256=review.sha256, entries=entries)
            )

    def holding(self, victims: Collection[str]) -> int:
        """How many referrals on the lists are of certain victims. Raises as ``summary``."""
        return sum(entry.victim in victims for name in self._names() for entry in self._list(name).entries)

    def stage_without(self, victims: Collection[str], staged: Staged) -> int:
        """Puts lists and verdicts without certain victims into a change; how many referrals go.

        Only inside ``writing``. The numbers of the others stay as they are, since lists were handed out.
        """
        found = 0
        for name in self._names():
            listed = self._list(name)
            gone = {number for number, entry in enumerate(listed.entries, 1) if entry.victim in victims}
            if not gone:
                continue
            found += len(gone)
            entries = tuple(_NOBODY if entry.victim in victims else entry for entry in listed.entries)
            self._stage(staged, f"{name}{_LIST}", listed.model_copy(update={"entries": entries}))
            verdicts = tuple(verdict for verdict in self._verdicts(name) if verdict.number not in gone)
            if (self._directory / f"{name}{_GIVEN}").exists():
                self._stage(staged, f"{name}{_GIVEN}", _Given(verdicts=verdicts))
        return found

    def stage_under(self, sealer: Sealer, staged: Staged) -> int:
        """Puts all lists and verdicts under another key into a change; how many files. Inside ``writing``."""
        new, files = Reviews(self._directory.parent, sealer), 0
        for name in self._names():
            new._stage(staged, f"{name}{_LIST}", self._list(name))
            files += 1
            if (self._directory / f"{name}{_GIVEN}").exists():
                new._stage(staged, f"{name}{_GIVEN}", _Given(verdicts=self._verdicts(name)))
                files += 1
        return files

    def _names(self) -> list[str]:
        return sorted(path.name.removesuffix(_LIST) for path in self._directory.glob(f"*{_LIST}"))

    def _stage(self, staged: Staged, name: str, content: BaseModel) -> None:
        staged.put(self._directory / name, self._sealed(name, content))

    def _sealed(self, name: str, content: BaseModel) -> bytes:
        return self._sealer.seal(content.model_dump_json().encode(), f"{DIRECTORY}/{name}")

    def check(self, wanted: Sequence[Wanted]) -> None:
        """Refuses verdicts that cannot be recorded.

        Raises:
            DataError: ``unknown-review-id``, ``unknown-verdict`` or ``note-too-long``, naming the first.
            ConfigurationError: ``wrong-key`` or ``reviews-damaged``.
        """
        lists: dict[str, tuple[_Listed, ...]] = {}
        for entry in wanted:
            name, number = _parts(entry.review_id)
            if name not in lists:
                lists[name] = self._list(name).entries if self._size(name) else ()
            if not 1 <= number <= len(lists[name]) or lists[name][number - 1].is_erased:
                raise _unknown(entry.review_id)
            if entry.verdict not in VERDICTS:
                raise DataError(
                    "unknown-verdict",
                    f"{entry.review_id}: {entry.verdict[:40]!r} is no verdict",
                    f"give one of {', '.join(VERDICTS)}",
                )
            if len(entry.note) > LONGEST_NOTE:
                raise DataError(
                    "note-too-long",
                    f"{entry.review_id}: the note has {len(entry.note):,} characters",
                    f"keep it to {LONGEST_NOTE:,}; longer reasons belong in the case file",
                )

    def record(self, wanted: Sequence[Wanted], *, by: str, at: datetime) -> None:
        """Records verdicts of one person: all of those on one list, or none. Raises as ``check``."""
        self.check(wanted)
        stamp = at.astimezone(UTC).isoformat(timespec="seconds")
        with self.writing():
            for name in dict.fromkeys(_parts(entry.review_id)[0] for entry in wanted):
                before = self._verdicts(name)
                new = tuple(
                    Verdict(
                        number=_parts(entry.review_id)[1],
                        verdict=entry.verdict,  # type: ignore[arg-type]  # checked against VERDICTS above
                        by=by,
                        note=entry.note,
                        at=stamp,
                    )
                    for entry in wanted
                    if _parts(entry.review_id)[0] == name
                )
                self._write(f"{name}{_GIVEN}", _Given(verdicts=(*before, *new)))

    def history(self, review_id: str) -> tuple[Verdict, ...]:
        """All verdicts on one referral, the earliest first. Raises as ``check``."""
        name, number = _parts(review_id)
        if not 1 <= number <= self._size(name):
            raise _unknown(review_id)
        return tuple(verdict for verdict in self._verdicts(name) if verdict.number == number)

    def summary(self) -> tuple[BandSummary, ...]:
        """Agreement by model and band, over all lists of this node."""
        referrals, reviewed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        given = Counter[tuple[str, str, str]]()
        for path in sorted(self._directory.glob(f"*{_LIST}")):
            name = path.name.removesuffix(_LIST)
            listed = self._list(name)
            bands = [entry.band for entry in listed.entries]
            referrals.update((listed.model, band) for band in bands if band)
            # Of each person the last verdict on a referral counts.
            last = {(verdict.number, verdict.by): verdict.verdict for verdict in self._verdicts(name)}
            reviewed.update((listed.model, bands[number - 1]) for number in {number for number, _ in last})
            given.update((listed.model, bands[number - 1], verdict) for (number, _), verdict in last.items())
        return tuple(
            BandSummary(model, band, count, reviewed[model, band], *(given[model, band, v] for v in VERDICTS))
            for (model, band), count in sorted(
                referrals.items(), key=lambda item: (item[0][0], ALL_BANDS.index(item[0][1]))
            )
        )

    def _list(self, name: str) -> _List:
        return self._read(f"{name}{_LIST}", _List)

    def _size(self, name: str) -> int:
        return len(self._list(name).entries) if (self._directory / f"{name}{_LIST}").exists() else 0

    def _verdicts(self, name: str) -> tuple[Verdict, ...]:
        file = f"{name}{_GIVEN}"
        return self._read(file, _Given).verdicts if (self._directory / file).exists() else ()

    def _read(self, name: str, kind: type[Content]) -> Content:
        try:
            sealed = (self._directory / name).read_bytes()
            return kind.model_validate_json(self._sealer.unseal(sealed, f"{DIRECTORY}/{name}"))
        except (OSError, ValidationError) as error:
            raise ConfigurationError(
                "reviews-damaged",
                f"{self._directory / name} cannot be used ({type(error).__name__})",
                "restore the node's directory from its backup",
            ) from error

    def _write(self, name: str, content: BaseModel) -> None:
        waiting = self._directory / f"{name}.partial"
        write_durably(waiting, self._sealed(name, content))
        waiting.rename(self._directory / name)
        sync_directory(self._directory)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The directory, under its lock: two reviewers at once wait for each other.

        Raises:
            ConfigurationError: ``reviews-unwritable``, or what ``require_current`` of the store raises.
        """
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._require_current()
                yield
            finally:
                os.close(handle)
        except OSError as error:
            raise ConfigurationError(
                "reviews-unwritable",
                f"{self._directory} cannot be written to: {error.strerror}",
                "free space on the disk, or mend the rights of the node's directory",
            ) from error


def _parts(review_id: str) -> tuple[str, int]:
    """The list and the number of a review id, in whatever case it was typed."""
    name, _, number = review_id.strip().upper().partition("-")
    if not LIST_ID.fullmatch(name) or not _NUMBER.fullmatch(number):
        raise _unknown(review_id)
    return name, int(number)


def _unknown(review_id: str) -> DataError:
    return DataError(
        "unknown-review-id",
        f"{review_id[:40]!r} is not a referral on a review list of this node",
        "give the review id as the list shows it, such as 7QK2M9XD-001",
    )
