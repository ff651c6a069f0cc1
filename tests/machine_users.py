"""Several users of one machine, for tests that run as root: root itself passes every permission.

A process that root starts imports the program, forks for each call, and the child gives up all of root
(groups, group, user, and with them every capability) before it does anything, as setpriv would. So users need
neither an entry in the machine's lists nor a way to where the program lies, which may be a directory of
root's only; and a call takes no second to start.
"""

from __future__ import annotations

import codecs
import contextlib
import getpass  # noqa: F401 - a command would look for it when it is another user
import importlib
import io
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PACKAGES = (
    "analyses",
    "audit",
    "cases",
    "cases.synthetic",
    "cli",
    "coordinator",
    "links",
    "masking",
    "node",
    "privacy",
    "study",
)
_HEAVY = ("neural", "module_learner")


@dataclass(frozen=True)
class User:
    """A user by number, with the groups that they are of."""

    name: str
    number: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Done:
    """What a call came to."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Machine:
    """Runs the program as one user or another."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        )

    def run(self, user: User, *words: object, umask: int = 0o022) -> Done:
        """A command of ``safeborders``."""
        return self._ask(user, {"words": [str(word) for word in words], "umask": umask})

    def do(self, user: User, code: str, umask: int = 0o022, **names: object) -> Done:
        """Statements of Python. Their error stands in ``err``, by the name of its class."""
        texts = {name: str(value) for name, value in names.items()}
        return self._ask(user, {"code": code, "names": texts, "umask": umask})

    def _ask(self, user: User, what: dict[str, Any]) -> Done:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(what | {"user": user.number, "groups": user.groups}) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the process that becomes other users has ended"
        return Done(**json.loads(line))

    def close(self) -> None:
        self._process.communicate()


def public_directory() -> Path | None:
    """A new directory that every user may pass through; None where there is none."""
    for above in (tempfile.gettempdir(), "/var/tmp", "/dev/shm"):  # noqa: S108 - tried in turn
        path = Path(above)
        if all(part.stat().st_mode & 0o001 for part in (path, *path.parents)) and os.access(path, os.W_OK):
            made = Path(tempfile.mkdtemp(prefix="safeborders-roles-", dir=path))
            made.chmod(0o711)
            return made
    return None


def _serve() -> None:
    for name in ("ascii", "latin-1", "utf-8", "utf-8-sig", "idna"):
        codecs.lookup(name)
    for package in _PACKAGES:
        found = importlib.import_module(f"safeborders_fed.{package}")
        for entry in pkgutil.iter_modules(found.__path__, f"{found.__name__}."):
            if not entry.name.endswith(_HEAVY):
                importlib.import_module(entry.name)
    for line in sys.stdin:
        asked = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            with os.fdopen(write, "w") as file:
                file.write(json.dumps(_as_user(asked)))
                file.flush()
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as file:
            print(file.read(), flush=True)  # noqa: T201 - the answer
        os.waitpid(child, 0)


def _as_user(asked: dict[str, Any]) -> dict[str, Any]:
    os.chdir("/")
    os.setgroups(asked["groups"])
    os.setresgid(*3 * (asked["user"],))
    os.setresuid(*3 * (asked["user"],))
    os.umask(asked["umask"])
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = _call(asked)
        except BaseException as error:  # noqa: BLE001 - it is what is asked about
            err.write("".join(traceback.format_exception_only(error)))
            status = -1
        out.flush()
    return {"status": status, "out": out.buffer.getvalue().decode(), "err": err.getvalue()}  # type: ignore[attr-defined]


def _call(asked: dict[str, Any]) -> int:
    from safeborders_fed.cli import main  # noqa: PLC0415 - the parent process of a test needs none of it

    if "words" in asked:
        return main.run(asked["words"])
    exec(asked["code"], {"Path": Path, "os": os, **asked["names"]})  # noqa: S102 - the test's own words
    return 0


if __name__ == "__main__":
    _serve()
