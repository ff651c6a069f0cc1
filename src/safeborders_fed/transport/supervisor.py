"""Keeps the processes of a service running: starts them, starts them again, stops them together.

Everything that the processes need is imported once, before they are forked, so that they start at once and
share memory.

Guarantees:

- A child that ends is started again, later each time it fails soon, never for good; a child that says that
  a person must act (exit codes 2 to 5 of ``errors``) ends the service with its error.
- Of two services for one directory the second does nothing and leaves the first as it is.
- When the supervisor dies in whatever way, its children are ended by the kernel.
- Output of each child goes to a file of its own, which is rotated by size.
- The state of the service is in one small file, replaced as a whole. A full disk ends no service.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

from safeborders_fed.errors import ConfigurationError, SafeBordersError, rebuilt
from safeborders_fed.transport.status import FAILURE_FILE, STATUS_FILE, read_json, write_json

LOG: Final = logging.getLogger(__name__)
LOG_DIRECTORY: Final = "logs"
_PR_SET_PDEATHSIG: Final = 1
_LARGEST_LOG: Final = 10 * 2**20
_LOGS_KEPT: Final = 5
_LONGEST_PAUSE: Final = 10.0
_SOON: Final = 10.0
_GRACE: Final = 8.0
_ENDING: Final = frozenset({2, 3, 4, 5})


@dataclass
class _Child:
    name: str
    run: Callable[[], None]
    pid: int = 0
    started: float = 0.0
    starts: int = 0
    pause: float = 0.0
    due: float = 0.0


@dataclass
class Supervisor:
    """A service of several processes.

    Args:
        directory: The service's ``run`` directory, made if absent, mode 700.
        children: Name to what the process does; each runs until it is told to stop (SIGTERM).
        watch: Called about once a second in the supervisor; names the children to be started anew.
        prepare: Called once before the children are started, when the directory is this service's alone.
    """

    directory: Path
    children: Mapping[str, Callable[[], None]]
    watch: Callable[[], set[str]] = field(default=set)
    prepare: Callable[[], None] = lambda: None
    _ended: bool = False
    _is_mute: bool = False

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT; the exit code.

        Raises:
            ConfigurationError: ``already-running`` or ``run-directory-unwritable``.
            SafeBordersError: what ``prepare`` raised, or the error of a child over which a person must act.
        """
        logs = self.directory / LOG_DIRECTORY
        try:
            for directory in (self.directory, logs):  # each by itself: ``parents`` would not mind the mode
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                "run-directory-unwritable",
                f"{self.directory} cannot be made: {error.strerror}",
                "let the service's user write there",
            ) from error
        with _only_one(self.directory):
            (self.directory / FAILURE_FILE).unlink(missing_ok=True)
            self.prepare()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._end)
            family = [_Child(name, run) for name, run in self.children.items()]
            gc.collect()
            gc.freeze()  # a collection would write to every object, and so copy what the children share
            try:
                failed = self._keep(family)
            finally:
                _stop(family)
                self._write_status(family, "stopped")
            if failed:
                raise self._failure()
            return 0

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._ended = True

    def _keep(self, family: list[_Child]) -> bool:
        """Runs the children until the service is told to stop; true if one of them failed for good."""
        looked = 0.0
        while not self._ended:
            for child in family:
                if not child.pid and time.monotonic() >= child.due:
                    self._start(child)
            if self._reap(family):
                return True
            if time.monotonic() - looked >= 1.0:
                looked = time.monotonic()
                self._write_status(family, "running")
                wanted = self.watch()
                for child in family:
                    if child.pid and child.name in wanted:
                        _kill(child.pid, signal.SIGTERM)
                    _rotate(self._log_of(child))
            time.sleep(0.2)
        return False

    def _failure(self) -> SafeBordersError:
        """The error over which a child ended for good."""
        return rebuilt(**read_json(self.directory / FAILURE_FILE))

    def _log_of(self, child: _Child) -> Path:
        return self.directory / LOG_DIRECTORY / f"{child.name}.log"

    def _start(self, child: _Child) -> None:
        child.started, child.starts = time.monotonic(), child.starts + 1
        parent = os.getpid()
        pid = os.fork()
        if pid:
            child.pid = pid
            return
        code = 1
        try:
            _become(self._log_of(child), parent)
            code = self._call(child)
        except BaseException:  # noqa: BLE001 - nothing may go on above this frame in a child
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _call(self, child: _Child) -> int:
        """Does what a child is for, in its process; its exit code."""
        try:
            child.run()
        except SafeBordersError as error:
            LOG.error("%s", error)  # noqa: TRY400 - its text says all
            parts = {"exit_code": error.exit_code, "code": error.code, "cause": error.cause, "fix": error.fix}
            if error.exit_code in _ENDING:
                write_json(self.directory / FAILURE_FILE, parts)
            return error.exit_code
        return 0

    def _reap(self, family: list[_Child]) -> bool:
        """Notices children that ended; true if the service has to end, too."""
        for child in family:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if not pid:
                continue
            child.pid = 0
            code = os.waitstatus_to_exitcode(status)
            if code in _ENDING:
                return True
            soon = time.monotonic() - child.started < _SOON
            child.pause = min(2 * child.pause + 0.5, _LONGEST_PAUSE) if soon and code else 0.0
            child.due = time.monotonic() + child.pause
            if code:
                LOG.warning(
                    "%s ended (%s) and is started again; see %s", child.name, _what(code), self._log_of(child)
                )
        return False

    def _write_status(self, family: list[_Child], state: str) -> None:
        content = {
            "state": state,
            "pid": os.getpid(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "processes": {child.name: {"pid": child.pid, "starts": child.starts} for child in family},
        }
        try:
            write_json(self.directory / STATUS_FILE, content)
        except OSError as error:  # no reason to end a service, which is of use again once there is space
            if not self._is_mute:
                LOG.warning("%s cannot be written: %s; free space there", self.directory, error.strerror)
            self._is_mute = True
        else:
            self._is_mute = False


class _only_one:  # noqa: N801 - used as a statement
    """Holds a lock in the directory: two services must not share it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._file = -1

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise ConfigurationError(
                "already-running",
                f"a service runs in {self._path.parent} already",
                "stop it first, or give the other directory",
            ) from error

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def die_with(parent: int) -> None:
    """Has the kernel end this process when its parent ends, in whatever way."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before the kernel was told


def _become(log: Path, parent: int) -> None:
    """Makes a forked process a child of its own: log file, signals, death with the parent."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _stop(family: list[_Child]) -> None:
    for child in family:
        if child.pid:
            _kill(child.pid, signal.SIGTERM)
    end = time.monotonic() + _GRACE
    for child in family:
        while child.pid and time.monotonic() < end:
            pid, _ = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                child.pid = 0
            else:
                time.sleep(0.05)
        if child.pid:
            _kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            child.pid = 0


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _rotate(log: Path) -> None:
    """Copies a log that has grown too large and empties it.

    Its writer appends, and goes on in the empty file.
    """
    try:
        if not log.exists() or log.stat().st_size < _LARGEST_LOG:  # not yet: its child was forked just now
            return
        for number in range(_LOGS_KEPT - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number + 1}"))
        log.with_name(f"{log.name}.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)
    except OSError as error:
        LOG.warning("log %s cannot be rotated: %s", log.name, error.strerror)


def _what(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with code {code}"
