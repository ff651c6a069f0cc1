"""The files of one study at the coordinator.

Layout, in the coordinator's home directory::

    studies/ID/draft.json        the manifest as drafted
    studies/ID/roster.json       the signed roster that it is for
    studies/ID/published.json    the manifest under an operator's signature
    studies/ID/state.json        how far the study is, and what each node said of it
    studies/ID/progress.jsonl    one object a line for whoever watches
    studies/ID/withdrawal.json   the wish to withdraw a study that is running
    studies/ID/history/          see ``coordinator.history``
    studies/ID/transcript/       the record that nodes are given
    studies/ID/release.json      what is published

Guarantees: files but for the progress are there as a whole or not at all; a line of progress that a crash
cut off is dropped. Whoever changes the state of a study holds its lock, so two runs never meet, and a run
that was killed is told from one that is alive. No change of a state is on the disk without a note of it for
the coordinator's audit log (``recording``). A published manifest and its roster are verified whenever they
are read.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from safeborders_fed.coordinator import recording, service_key
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_state import StudyState
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.study import canonical, durable, publication
from safeborders_fed.study import manifest as manifests
from safeborders_fed.study.manifest import IDENTIFIER, Manifest
from safeborders_fed.study.roster import Roster, SignedRoster
from safeborders_fed.study.state_changes import History

DIRECTORY: Final = "studies"
_DRAFT: Final = "draft.json"
_ROSTER: Final = "roster.json"
_PUBLISHED: Final = "published.json"
_STATE: Final = "state.json"
_PROGRESS: Final = "progress.jsonl"
_WITHDRAWAL: Final = "withdrawal.json"
_LOCK: Final = "lock"
_SECONDS_BETWEEN: Final = 0.02
_A_LOOK: Final = 0.4
"""Seconds that who only looks whether it is held may hold it."""
AN_OFFER: Final = 15.0
"""Seconds that whoever offers the study, or ends a run that asked nothing, may need."""


class StudyFiles:
    """One study of a coordinator.

    Args:
        home: The coordinator.
        study: Its id.

    Raises:
        UsageError: ``unknown-study``, when the id is none.
    """

    def __init__(self, home: CoordinatorHome, study: str) -> None:
        if not IDENTIFIER.fullmatch(study):
            raise _unknown(home, study)
        self.study = study
        self.path = home.path / DIRECTORY / study
        self.history = self.path / "history"
        self.transcript = self.path / "transcript"
        self.release = self.path / "release.json"
        self._home = home

    def create(self, manifest: Manifest, roster: SignedRoster, state: StudyState) -> None:
        """Keeps a draft.

        Raises:
            UsageError: ``study-exists``.
            ConfigurationError: ``coordinator-unwritable``.
        """
        if (self.path / _STATE).exists():
            raise UsageError(
                "study-exists",
                f"there is a study {self.study!r} already",
                "choose another name; ids are not reused",
            )
        self.write(_DRAFT, manifest.canonical())
        self.write(_ROSTER, roster.to_bytes())
        self.save(state)

    def state(self) -> StudyState:
        """How far the study is.

        Raises:
            UsageError: ``unknown-study``.
            ConfigurationError: ``study-damaged``.
        """
        path = self.path / _STATE
        if not path.exists():
            raise _unknown(self._home, self.study)
        try:
            return StudyState.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise _damaged(path) from error

    def save(self, state: StudyState) -> None:
        """Keeps the state, and logs its new changes; only under the lock.

        Raises:
            ConfigurationError: ``coordinator-unwritable``, or as ``recording.note`` and ``recording.log``.
        """
        known = len(self.state().changes) if (self.path / _STATE).exists() else 0
        for change in state.changes[known:]:
            recording.note_change(self._home, change)
        self.write(_STATE, canonical.serialise(state.model_dump(mode="json")))
        if len(state.changes) > known:
            recording.log(self._home)

    def told(self, state: StudyState) -> History:
        """What nodes are told of what became of the study. Raises as ``service_key.certificates``."""
        return state.history(service_key.certificates(self._home.path))

    def manifest(self) -> Manifest:
        """The manifest, published or not.

        Raises:
            PeerError: Its signature does not verify, or the file was altered.
            ConfigurationError, RefusedError: The draft does not fit this version of the software.
        """
        if self.is_published():
            return self.published()
        return manifests.parse(self._read(_DRAFT))

    def is_published(self) -> bool:
        """Whether an operator has signed it."""
        return (self.path / _PUBLISHED).exists()

    def published(self) -> Manifest:
        """The manifest that an operator signed. Raises as ``manifest``."""
        operators = tuple(operator.public for operator in self._home.operators)
        return publication.receive_from(self._read(_PUBLISHED), operators)

    def published_text(self) -> str:
        """The published study as an offer carries it."""
        return self._read(_PUBLISHED).decode("utf-8")

    def publish(self, data: bytes) -> None:
        """Keeps the signed manifest. Raises ConfigurationError ``coordinator-unwritable``."""
        self.write(_PUBLISHED, data)

    def roster(self) -> Roster:
        """The roster that the study is for.

        Raises:
            ConfigurationError: ``wrong-roster``.
            PeerError: Nobody who is an operator signed it.
        """
        data = self._read(_ROSTER)
        signed = None
        for operator in self._home.operators:
            try:
                signed = SignedRoster.from_bytes(data, operator.public)
                break
            except PeerError as error:
                if error.code != "wrong-roster-signer":
                    raise
        if signed is None or signed.roster.hash() != self.manifest().roster_hash:
            raise ConfigurationError(
                "wrong-roster",
                f"the roster beside study {self.study!r} is not the one that it is for",
                "restore the directory of the study from backup, or draft a new study",
            )
        return signed.roster

    def withdrawal(self) -> tuple[str, str] | None:
        """Who wants to withdraw the running study, and why.

        Raises:
            ConfigurationError: ``study-damaged``.
        """
        path = self.path / _WITHDRAWAL
        if not path.exists():
            return None
        try:
            content = canonical.parse(path.read_bytes())
            return str(content["by"]), str(content["why"])
        except (OSError, PeerError, KeyError, TypeError) as error:
            raise _damaged(path) from error

    def ask_to_withdraw(self, by: str, why: str) -> None:
        """Leaves the wish for the run to find. Raises ConfigurationError ``coordinator-unwritable``."""
        self.write(_WITHDRAWAL, canonical.serialise({"by": by, "why": why}))

    def tell(self, row: dict[str, Any]) -> None:
        """Adds a line of progress; only under the lock.

        Raises:
            ConfigurationError: ``coordinator-unwritable``.
        """
        line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
        try:
            with (self.path / _PROGRESS).open("a+b") as file:
                _drop_torn_line(file.fileno())
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self.path / _PROGRESS, error) from error

    def progress(self) -> list[dict[str, Any]]:
        """All whole lines of progress."""
        try:
            data = (self.path / _PROGRESS).read_bytes()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    @contextmanager
    def lock(self, patience: float = _A_LOOK) -> Iterator[None]:
        """Holds the study; the lock goes with the process.

        Args:
            patience: Seconds that another process may still hold it.

        Raises:
            RefusedError: ``study-busy``.
            UsageError: ``unknown-study``.
        """
        with self._lock_file() as file:
            for left in reversed(range(1 + round(patience / _SECONDS_BETWEEN))):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if not left:
                        raise RefusedError(
                            "study-busy",
                            f"study {self.study!r} is being worked on",
                            f"follow it with `safeborders coordinator study watch {self.study}`",
                        ) from error
                time.sleep(_SECONDS_BETWEEN)
            yield

    def is_held(self) -> bool:
        """Whether a process works on the study now."""
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        if not self.path.is_dir():
            raise _unknown(self._home, self.study)
        file = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield file
        finally:
            os.close(file)

    def write(self, name: str, content: bytes) -> None:
        """Writes one of its files. Raises ConfigurationError ``coordinator-unwritable``."""
        path = self.path / name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.replace(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            raise _unknown(self._home, self.study) from None
        except OSError as error:
            raise _damaged(self.path / name) from error


def studies(home: CoordinatorHome) -> tuple[StudyFiles, ...]:
    """All studies of a coordinator, by name."""
    found = sorted(path.parent.name for path in (home.path / DIRECTORY).glob(f"*/{_STATE}"))
    return tuple(StudyFiles(home, name) for name in found)


def _drop_torn_line(file: int) -> None:
    """Cuts a line off that a crash left without its end."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.ftruncate(file, os.pread(file, size, 0).rfind(b"\n") + 1)


def _unknown(home: CoordinatorHome, study: str) -> UsageError:
    return UsageError(
        "unknown-study",
        f"there is no study {study[:64]!r} in {home.path / DIRECTORY}",
        "choose one that `safeborders coordinator study list` shows",
    )


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError("study-damaged", f"{path} is damaged", "restore it from backup")


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "coordinator-unwritable",
        f"{path} cannot be written: {error.strerror}",
        "free space on the disk, or mend the rights of the coordinator's directory",
    )
