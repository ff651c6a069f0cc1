"""The board: where the coordinator keeps the tags of each pair of states and compares them.

Layout, in the directory of an epoch::

    board/BE-BG/BE.EXCHANGE.asked     BE was asked for its new tags for BG, and has not answered yet
    board/BE-BG/BE.EXCHANGE.json      what it signed
    board/BE-BG/BE.EXCHANGE.npz       its tags and handles
    board/BE-BG/settled.NUMBER.npz    hits that both states have verified

Guarantees: tags of one pair are compared with each other and with nothing else: they lie in a directory of
their own, and a tag has a place in it only if one of the two states signed it for the other. A tag or handle
that a state sends twice for a pair is refused, with the whole message, so that nobody multiplies hits. A
match is told in the order of handles, which are random. Files are there as a whole or not at all.

What is here tells how many tags of each pair are equal, and when they came; it cannot be tested against
guesses without the key of the pair, and says nothing across pairs.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.link_messages import Said, Words, array_hash, to_rows, to_words, wrong_saying

MOST_TAGS: Final = 2**20
"""In one message: 33 million bytes, half of what a node's executor lets out."""
_WORDS: Final = 2


class Hit(NamedTuple):
    """An equal tag of a pair: the handle at each of the two states, in order of their names."""

    first: bytes
    second: bytes


class Tags(NamedTuple):
    """A message of tags, checked."""

    tags: Words
    handles: Words


class Count(NamedTuple):
    """What the board knows of a pair: tags of each of the two, and hits that both verified."""

    first: int
    second: int
    verified: int


def check_tags(
    node: str,
    content: Mapping[str, Any],
    arrays: Mapping[str, Words],
    *,
    partner: str,
    epoch: str,
) -> Tags:
    """The tags of an answer, checked to be what the node signed for this partner and epoch.

    Raises:
        PeerError: ``wrong-saying``.
    """
    if (content.get("partner"), content.get("epoch")) != (partner, epoch):
        raise wrong_saying(node, "tags for another state or epoch than it was asked for")
    if arrays.keys() != {"tags", "handles"}:
        raise wrong_saying(node, "tags without their arrays")
    count, tags, handles = content.get("count"), arrays["tags"], arrays["handles"]
    shape = (count, _WORDS)
    if type(count) is not int or count > MOST_TAGS or tags.shape != shape or handles.shape != shape:
        raise wrong_saying(node, "tags of another number or length than it signed")
    if (array_hash(tags), array_hash(handles)) != (content.get("tags"), content.get("handles")):
        raise wrong_saying(node, "other tags than it signed")
    return Tags(tags, handles)


class Board:
    """The board of an epoch.

    Args:
        directory: Where it is kept.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def asked(self, exchange: str, node: str, partner: str) -> None:
        """Notes that a state is being asked, so that tags whose answer is lost are asked for again.

        Raises:
            ConfigurationError: ``coordinator-unwritable``.
        """
        self._write(self._path(exchange, node, partner, "asked"), b"")

    def owed(self, node: str, partner: str) -> tuple[str, ...]:
        """The exchanges in which a state was asked for tags that are not here, the oldest first."""
        paths = self._of(node, partner).glob(f"{node}.*.asked")
        names = sorted(path.name.split(".")[1] for path in paths)
        return tuple(name for name in names if not self.has(name, node, partner))

    def has(self, exchange: str, node: str, partner: str) -> bool:
        """Whether a state's tags of an exchange are here."""
        return self._path(exchange, node, partner, "npz").exists()

    def take(self, exchange: str, partner: str, said: Said, new: Tags) -> None:
        """Keeps what a state sent, as ``check_tags`` gave it.

        Raises:
            PeerError: ``repeated-tags``: a tag or handle is there twice; nothing is kept.
            ConfigurationError: ``coordinator-unwritable`` or ``board-damaged``.
        """
        node = said.node
        known = self._all(node, partner)
        for name, rows in (("tags", new.tags), ("handles", new.handles)):
            if _repeats(np.concatenate([known[name], rows])):
                self._path(exchange, node, partner, "asked").unlink(missing_ok=True)
                raise PeerError(
                    "repeated-tags",
                    f"{node} sent {name} for {partner} that it had sent before, or one twice",
                    "nothing of that message was compared: ask that node's team what happened",
                )
        buffer = io.BytesIO()
        np.savez(buffer, tags=new.tags, handles=new.handles)
        document = canonical.serialise(said.model_dump())
        self._write(self._path(exchange, node, partner, "json"), document)
        self._write(self._path(exchange, node, partner, "npz"), buffer.getvalue())
        self._path(exchange, node, partner, "asked").unlink(missing_ok=True)

    def open_hits(self, first: str, second: str) -> list[Hit]:
        """Equal tags of a pair that the two have not both verified yet, by handle.

        Raises:
            ConfigurationError: ``board-damaged``.
        """
        one, other = self._all(first, second), self._all(second, first)
        left, right = _equal(one["tags"], other["tags"])
        mine, theirs = to_rows(one["handles"][left]), to_rows(other["handles"][right])
        settled = self._settled(first, second)
        return sorted(hit for hit in map(Hit, mine, theirs) if hit not in settled)

    def settle(self, first: str, second: str, hits: Iterable[Hit]) -> None:
        """Both states have verified these hits: they are not told again. Raises as ``take``."""
        rows = [hit.first + hit.second for hit in hits]
        if not rows:
            return
        directory, buffer = self._of(first, second), io.BytesIO()
        np.savez(buffer, hits=to_words(rows, 32))
        number = 1 + sum(1 for _ in directory.glob("settled.*.npz"))
        self._write(directory / f"settled.{number:06}.npz", buffer.getvalue())

    def counts(self) -> dict[str, Count]:
        """Pair, as ``BE-BG``, to what is known of it. Raises as ``open_hits``."""
        found = {}
        for path in sorted(self._directory.glob("??-??")):
            first, second = path.name.split("-")
            one, other = self._all(first, second), self._all(second, first)
            settled = self._settled(first, second)
            found[path.name] = Count(len(one["tags"]), len(other["tags"]), len(settled))
        return found

    def forget(self) -> None:
        """Removes all of it.

        Raises:
            ConfigurationError: ``coordinator-unwritable``.
        """
        try:
            if self._directory.exists():
                shutil.rmtree(self._directory)
        except OSError as error:
            raise _unwritable(self._directory, error) from error

    def _of(self, node: str, partner: str) -> Path:
        return self._directory / "-".join(sorted((node, partner)))

    def _path(self, exchange: str, node: str, partner: str, ending: str) -> Path:
        return self._of(node, partner) / f"{node}.{exchange}.{ending}"

    def _parts(self, node: str, partner: str) -> list[Path]:
        return sorted(self._of(node, partner).glob(f"{node}.*.npz"))

    def _all(self, node: str, partner: str) -> dict[str, Words]:
        """All tags and handles of a state for a partner."""
        none = np.empty((0, _WORDS), dtype=np.uint64)
        parts = [_read(path) for path in self._parts(node, partner)]
        return {name: np.concatenate([none, *(part[name] for part in parts)]) for name in ("tags", "handles")}

    def _settled(self, first: str, second: str) -> frozenset[Hit]:
        parts = [_read(path)["hits"] for path in sorted(self._of(first, second).glob("settled.*.npz"))]
        return frozenset(Hit(row[:16], row[16:]) for part in parts for row in to_rows(part))

    def _write(self, path: Path, content: bytes) -> None:
        try:
            durable.make_directories(path.parent)
            durable.replace(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error


def _equal(one: Words, other: Words) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of equal rows in two arrays, each without a row twice."""
    rows = np.concatenate([one, other])
    order = np.lexsort((rows[:, 1], rows[:, 0]))  # stable: of two equal rows that of the first array leads
    at = np.flatnonzero(_neighbours(rows[order]))
    return order[at], order[at + 1] - len(one)


def _repeats(rows: Words) -> bool:
    order = np.lexsort((rows[:, 1], rows[:, 0]))
    return bool(_neighbours(rows[order]).any())


def _neighbours(rows: Words) -> NDArray[np.bool_]:
    """Which rows are the same as the next one."""
    same: NDArray[np.bool_] = (rows[1:] == rows[:-1]).all(axis=1)
    return same


def _read(path: Path) -> dict[str, Words]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as opened:
            return {name: opened[name].astype(np.uint64) for name in opened.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            "board-damaged", f"{path} cannot be read", "restore the coordinator's directory from backup"
        ) from error


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "coordinator-unwritable",
        f"{path} cannot be written: {error.strerror}",
        "free space on the disk, or mend the rights of the coordinator's directory",
    )
