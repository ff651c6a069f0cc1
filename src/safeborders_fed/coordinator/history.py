"""What a study has come to at the coordinator, on disk: enough to go on at the exact round after a crash.

Layout of the directory::

    0000.request    the bytes of an attempt's request, for each attempt one file
    0000.answers    the contributions to it as received (signed, masked), and which nodes failed how
    end.json        how the study ended
    lock            held while a process runs the study

Guarantees:

- A request is on the disk (fsync) before it is sent, so that an attempt is never asked twice in two forms.
- Files appear whole or not at all; attempts are numbered without gaps, and none is asked before the one
  before it is settled.
- No state of an analysis is kept: it follows from the contributions.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from safeborders_fed.cases.snapshots import sync_directory, write_durably
from safeborders_fed.errors import ConfigurationError, DefectError, PeerError, RefusedError, SafeBordersError
from safeborders_fed.study import bundle, canonical
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Round, decode
from safeborders_fed.study.record import DoneRound, FailedAttempt, Transcript

RELEASED: Final = "released"
_END: Final = "end.json"
_LOCK: Final = "lock"
_REQUEST: Final = ".request"
_ANSWERS: Final = ".answers"
_ERRORS: Final[dict[str, type[SafeBordersError]]] = {
    kind.__name__: kind for kind in (ConfigurationError, DefectError, PeerError, RefusedError)
}


@dataclass(frozen=True)
class Answers:
    """What came of an attempt.

    Attributes:
        contributions: Node to the bytes of its contribution.
        failures: Node to the code of what it did instead; empty for an attempt that counts.
    """

    contributions: Mapping[str, bytes]
    failures: Mapping[str, str]


@dataclass(frozen=True)
class End:
    """How a study ended.

    Attributes:
        outcome: ``released``, or the code of the error.
        kind: Empty, or the class of the error, which says who must act.
        cause: Empty, or that of the error.
        fix: Empty, or that of the error.
    """

    outcome: str
    kind: str = ""
    cause: str = ""
    fix: str = ""

    @classmethod
    def of(cls, error: SafeBordersError) -> End:
        """The end by an error."""
        return cls(error.code, type(error).__name__, error.cause, error.fix)

    def error(self) -> SafeBordersError | None:
        """The error again; None for a study that was released."""
        if self.outcome == RELEASED:
            return None
        return _ERRORS.get(self.kind, PeerError)(self.outcome, self.cause, self.fix)


class History:
    """The history of one study.

    Args:
        directory: Made when absent.

    Raises:
        ConfigurationError: ``history-unwritable``.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with _writing():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.parent)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within, no other process runs the study: two would ask one attempt in two forms.

        Raises:
            ConfigurationError: ``study-running`` or ``history-unwritable``.
        """
        with _writing():
            lock = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise ConfigurationError(
                "study-running",
                "the study is running already",
                "watch it; resume it only after its process has ended",
            ) from error
        try:
            yield
        finally:
            os.close(lock)

    def attempts(self) -> int:
        """How many attempts were asked or about to be.

        Raises:
            ConfigurationError: ``history-damaged``, when one is missing.
        """
        names = {path.name for path in self._directory.iterdir()}
        count = sum(name.endswith(_REQUEST) for name in names)
        needed = {f"{number:04}{_REQUEST}" for number in range(count)}
        needed |= {f"{number:04}{_ANSWERS}" for number in range(count - 1)}
        if not needed <= names or f"{count:04}{_ANSWERS}" in names:
            raise damaged("an attempt is missing")
        return count

    def request(self, attempt: int) -> bytes:
        """The bytes of an attempt's request.

        Raises:
            ConfigurationError: ``history-damaged``.
        """
        return self._read(f"{attempt:04}{_REQUEST}")

    def answers(self, attempt: int) -> Answers | None:
        """What came of an attempt; None while it is under way.

        Raises:
            ConfigurationError: ``history-damaged``.
        """
        name = f"{attempt:04}{_ANSWERS}"
        if not (self._directory / name).exists():
            return None
        try:
            header, items = bundle.unpack(self._read(name))
            return Answers(dict(zip(header["nodes"], items, strict=True)), dict(header["failures"]))
        except (PeerError, KeyError, TypeError, ValueError) as error:
            raise damaged(f"{name} cannot be read") from error

    def end(self) -> End | None:
        """How the study ended, or None.

        Raises:
            ConfigurationError: ``history-damaged``.
        """
        if not (self._directory / _END).exists():
            return None
        try:
            return End(**canonical.parse(self._read(_END)))
        except (PeerError, TypeError) as error:
            raise damaged(f"{_END} cannot be read") from error

    def asking(self, attempt: int, request: bytes) -> None:
        """Keeps a request; on return it may be sent.

        Raises:
            ConfigurationError: ``history-unwritable``; nothing may be sent.
        """
        self._write(f"{attempt:04}{_REQUEST}", request)

    def settled(self, attempt: int, answers: Answers) -> None:
        """Keeps what came of an attempt.

        Raises:
            ConfigurationError: ``history-unwritable``; the attempt is still under way.
        """
        header = {"nodes": list(answers.contributions), "failures": dict(answers.failures)}
        data = bundle.pack(header, list(answers.contributions.values()))
        self._write(f"{attempt:04}{_ANSWERS}", data)

    def ended(self, end: End) -> None:
        """Keeps how the study ended.

        Raises:
            ConfigurationError: ``history-unwritable``.
        """
        self._write(_END, canonical.serialise(asdict(end)))

    def transcript(self, manifest: Manifest) -> Transcript:
        """The record of the finished study, for the nodes.

        Raises:
            ConfigurationError: ``history-damaged``, also when the study was not released.
        """
        end = self.end()
        if end is None or end.outcome != RELEASED:
            raise damaged("the study was not released")
        done, failed = [], []
        for attempt in range(self.attempts()):
            answers, data = self.answers(attempt), self.request(attempt)
            request = decode(data)
            if answers is None or not isinstance(request, Round):
                raise damaged(f"attempt {attempt} is no request, or was not settled")
            if answers.failures:
                rho = manifest.terms(request.stage).rho
                failures = dict(answers.failures)
                failed.append(
                    FailedAttempt(
                        attempt=attempt,
                        round=request.round,
                        stage=request.stage,
                        failures=failures,
                        rho=rho,
                    )
                )
            else:
                done.append(DoneRound(data, answers.contributions))
        return Transcript(manifest.id, manifest.hash(), tuple(done), tuple(failed))

    def _read(self, name: str) -> bytes:
        try:
            return (self._directory / name).read_bytes()
        except OSError as error:
            raise damaged(f"{name} cannot be read: {error.strerror}") from error

    def _write(self, name: str, data: bytes) -> None:
        part = self._directory / f"{name}.part"
        with _writing():
            write_durably(part, data)
            part.replace(self._directory / name)
            sync_directory(self._directory)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            "history-unwritable",
            f"the history of a study cannot be written: {error.strerror}",
            "free space on the coordinator's disk or mend its rights, then resume the study",
        ) from error


def damaged(why: str) -> ConfigurationError:
    """The error for a history that does not fit together."""
    return ConfigurationError(
        "history-damaged",
        f"the history of a study is damaged: {why}",
        "restore the study's directory from backup; if there is none, withdraw the study and draft a new one",
    )
