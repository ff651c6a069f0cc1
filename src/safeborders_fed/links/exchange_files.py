"""What the coordinator keeps of links, by epoch, so that a run that was cut off goes on where it stopped.

Layout, in the coordinator's home directory::

    links/EPOCH/state.json            the exchange under way, or the last one, and its summary
    links/EPOCH/wish.json             what the next run is asked for
    links/EPOCH/progress.jsonl        one object a line for whoever watches
    links/EPOCH/keys/STEP.json        what all nodes said in a step of the key ceremony
    links/EPOCH/keys/set.json         the public keys, checked
    links/EPOCH/board/                see ``links.board``
    links/EPOCH/letters/              letters that wait for their addressees, and which were handed over

Guarantees: files but for the progress are there as a whole or not at all. Whoever runs an exchange holds the
epoch's lock, so that two runs never meet, and a run that was killed is told from one that is alive. Nothing
in here is secret to the coordinator, and all of it but keys is gone after ``forget``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.links.board import Board
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.link_messages import Said

DIRECTORY: Final = "links"
EPOCH: Final = re.compile(r"[0-9]{4}")
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid")
_SAID: Final = TypeAdapter(tuple[Said, ...])


class State(BaseModel):
    """Where the exchanges of an epoch stand.

    Attributes:
        number: Of the exchange under way, or of the last one; 0 before the first.
        done: Whether it has ended.
        summary: What the last one that ended came to; empty before the first.
    """

    model_config = _STRICT

    number: Annotated[int, Field(ge=0, le=9999)] = 0
    done: bool = True
    summary: dict[str, Any] = {}


class Wish(BaseModel):
    """What a run is asked for.

    Attributes:
        by: Who asks.
        wait_seconds: How long nodes that are offline are waited for.
        letters_only: Whether only letters of approved hits are carried: no new tokens or tags.
    """

    model_config = _STRICT

    by: Annotated[str, Field(min_length=1, max_length=200)] = "coordinator service"
    wait_seconds: Annotated[float, Field(ge=0, le=14 * 86_400)] = 0.0
    letters_only: bool = False


Kept = TypeVar("Kept", State, Wish)


class LinkFiles:
    """The files of one epoch.

    Args:
        home: The coordinator's directory.
        epoch: The calendar year.

    Raises:
        UsageError: ``no-epoch``: it is no year.
    """

    def __init__(self, home: Path, epoch: str) -> None:
        if not EPOCH.fullmatch(epoch):
            raise UsageError("no-epoch", f"{epoch[:20]!r} is no epoch", "give a calendar year, such as 2026")
        self.epoch = epoch
        self.path = home / DIRECTORY / epoch
        self.board = Board(self.path / "board")

    def state(self) -> State:
        """Where the exchanges stand.

        Raises:
            ConfigurationError: ``links-damaged``.
        """
        return self._model(State, "state.json")

    def save(self, state: State) -> None:
        """Keeps it. Raises ConfigurationError ``coordinator-unwritable``."""
        self._write("state.json", canonical.serialise(state.model_dump(mode="json")))

    def wish(self) -> Wish:
        """What the next run is asked for. Raises as ``state``."""
        return self._model(Wish, "wish.json")

    def ask_for(self, wish: Wish) -> None:
        """Leaves it for the run to find. Raises as ``save``."""
        self._write("wish.json", canonical.serialise(wish.model_dump(mode="json")))

    def ceremony(self, step: str) -> tuple[Said, ...] | None:
        """What all nodes said in a step of the key ceremony; None before. Raises as ``state``."""
        path = self.path / "keys" / f"{step}.json"
        if not path.exists():
            return None
        try:
            return _SAID.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise _damaged(path) from error

    def keep_ceremony(self, step: str, said: tuple[Said, ...]) -> None:
        """Keeps it. Raises as ``save``."""
        self._write(f"keys/{step}.json", canonical.serialise(_SAID.dump_python(said, mode="json")))

    def begin_ceremony_again(self) -> None:
        """Drops what was said of keys that no node may pin. Raises as ``save``."""
        try:
            for path in (self.path / "keys").glob("*.json"):
                path.unlink()
        except OSError as error:
            raise _unwritable(self.path / "keys", error) from error

    def key_set(self) -> KeySet | None:
        """The public keys of the epoch; None before they are checked.

        Raises:
            DataError: ``bad-key-set``.
        """
        path = self.path / "keys" / "set.json"
        return KeySet.from_bytes(path.read_bytes()) if path.exists() else None

    def keep_key_set(self, keys: KeySet) -> None:
        """Keeps them. Raises as ``save``."""
        self._write("keys/set.json", keys.to_bytes())

    def post(self, to: str, letters: Said) -> bool:
        """Takes letters for a state; False for those that were here before. Raises as ``save``."""
        waiting, given = (self._letter(to, letters, ending) for ending in ("json", "given"))
        if waiting.exists() or given.exists():
            return False
        self._write(f"letters/{waiting.name}", canonical.serialise(letters.model_dump(mode="json")))
        return True

    def waiting(self, to: str) -> tuple[Said, ...]:
        """Letters that wait for a state. Raises as ``state``."""
        paths = sorted((self.path / "letters").glob(f"{to}.*.json"))
        try:
            return tuple(Said.model_validate_json(path.read_bytes()) for path in paths)
        except (OSError, ValidationError) as error:
            raise _damaged(self.path / "letters") from error

    def given(self, to: str, letters: Iterable[Said]) -> None:
        """They were handed over: only that they were is kept. Raises as ``save``."""
        for each in letters:
            self._write(f"letters/{self._letter(to, each, 'given').name}", b"")
            self._letter(to, each, "json").unlink(missing_ok=True)

    def waiting_counts(self) -> dict[str, int]:
        """State to how many signed texts with letters wait for it."""
        counts: dict[str, int] = {}
        for path in sorted((self.path / "letters").glob("*.json")):
            counts[path.name[:2]] = counts.get(path.name[:2], 0) + 1
        return counts

    def tell(self, row: dict[str, Any]) -> None:
        """Adds a line of progress; only under the lock. Raises as ``save``."""
        line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
        path = self.path / "progress.jsonl"
        try:
            durable.make_directories(self.path)
            with path.open("a+b") as file:
                _drop_torn_line(file.fileno())
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(path, error) from error

    def progress(self) -> list[dict[str, Any]]:
        """All whole lines of progress."""
        try:
            data = (self.path / "progress.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]

    def forget(self) -> None:
        """Removes board and letters of the epoch: nothing of it can be compared any more.

        The key ceremony stays, as evidence of which keys were used. Raises as ``save``.
        """
        self.board.forget()
        try:
            shutil.rmtree(self.path / "letters", ignore_errors=not (self.path / "letters").exists())
        except OSError as error:
            raise _unwritable(self.path / "letters", error) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the epoch; the lock goes with the process.

        Raises:
            RefusedError: ``exchange-running``.
            ConfigurationError: ``coordinator-unwritable``.
        """
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RefusedError(
                    "exchange-running",
                    f"an exchange of links of {self.epoch} is running",
                    "wait for its end: `safeborders coordinator links status` shows how far it is",
                ) from error
            yield

    def is_held(self) -> bool:
        """Whether a process runs an exchange now."""
        if not self.path.is_dir():
            return False
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        try:
            durable.make_directories(self.path)
            file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            yield file
        finally:
            os.close(file)

    def _letter(self, to: str, letters: Said, ending: str) -> Path:
        return self.path / "letters" / f"{to}.{letters.hash}.{ending}"

    def _model(self, kind: type[Kept], name: str) -> Kept:
        path = self.path / name
        if not path.exists():
            return kind()
        try:
            return kind.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise _damaged(path) from error

    def _write(self, name: str, content: bytes) -> None:
        path = self.path / name
        try:
            durable.make_directories(path.parent)
            durable.replace(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error


def epochs(home: Path) -> tuple[LinkFiles, ...]:
    """All epochs of a coordinator, the oldest first."""
    names = sorted(path.name for path in (home / DIRECTORY).glob("*") if EPOCH.fullmatch(path.name))
    return tuple(LinkFiles(home, name) for name in names)


def _drop_torn_line(file: int) -> None:
    """Cuts a line off that a crash left without its end."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.ftruncate(file, os.pread(file, size, 0).rfind(b"\n") + 1)


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError("links-damaged", f"{path} is damaged", "restore it from backup")


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "coordinator-unwritable",
        f"{path} cannot be written: {error.strerror}",
        "free space on the disk, or mend the rights of the coordinator's directory",
    )
