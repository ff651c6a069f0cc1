"""Every error that a user may see, sorted by who must act on it.

Guarantees: an error carries a stable code, a cause and what to do about it (``fix``); its class alone
decides the exit code. Nothing in here is shown to the other side of a wire: what leaves a node is one
of the reasons listed in ``study.messages``.
"""

from __future__ import annotations

from typing import ClassVar


class SafeBordersError(Exception):
    """Base of all errors meant for a user.

    Args:
        code: Stable, hyphenated identifier that scripts and documentation refer to.
        cause: What happened, in one sentence, naming file, row and field where they apply.
        fix: What the reader should do next, in one sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, cause: str, fix: str) -> None:
        super().__init__(f"{cause} (error {code}) Fix: {fix}")
        self.code = code
        self.cause = cause
        self.fix = fix


class DefectError(SafeBordersError):
    """The program contradicted itself: for its developers to mend."""

    exit_code = 1


class UsageError(SafeBordersError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class DataError(SafeBordersError):
    """The case file or another input of the user cannot be used as it is."""

    exit_code = 3


class ConfigurationError(SafeBordersError):
    """A mapping, policy, key or directory is missing or wrong."""

    exit_code = 4


class RefusedError(SafeBordersError):
    """Policy or privacy budget says no."""

    exit_code = 5


class PeerError(SafeBordersError):
    """The other side or the network failed."""

    exit_code = 6


def rebuilt(exit_code: int, code: str, cause: str, fix: str) -> SafeBordersError:
    """An error that was kept as its parts, by another process for one, as the class of its exit code."""
    kinds = (DefectError, UsageError, DataError, ConfigurationError, RefusedError, PeerError)
    kind = next((kind for kind in kinds if kind.exit_code == exit_code), DefectError)
    return kind(code, cause, fix)
