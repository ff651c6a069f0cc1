"""What releases of models and of tables have in common at the coordinator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.study import durable
from safeborders_fed.study.model_statement import LONGEST_REASON, SignedStatement


@dataclass(frozen=True)
class Signed:
    """What a signature brought about.

    Attributes:
        signed: Names of those who have signed.
        missing: How many further operators must sign.
        files: What to hand out; empty as long as anybody is missing.
    """

    signed: tuple[str, ...]
    missing: int
    files: tuple[Path, ...]


def missing(home: CoordinatorHome, signed: SignedStatement) -> int:
    """How many further operators of this coordinator must sign."""
    enrolled = {operator.public for operator in home.operators}
    return max(0, home.release_signatures - sum(entry.signer in enrolled for entry in signed.signatures))


def require_reason(reason: str | None, what: str, readers: str) -> str:
    """A reason that says something.

    Args:
        reason: What was given.
        what: What it is the reason for: ``release of a model``.
        readers: Who will read it.

    Raises:
        UsageError: ``reason-missing``.
    """
    if not reason or not reason.strip() or len(reason) > LONGEST_REASON:
        raise UsageError(
            "reason-missing",
            f"the {what} says why, to {readers}",
            f"give a reason of up to {LONGEST_REASON:,} characters with --reason",
        )
    return reason


def write(path: Path, content: bytes) -> None:
    """Writes a file as a whole or not at all.

    Raises:
        ConfigurationError: ``coordinator-unwritable``.
    """
    try:
        durable.make_directories(path.parent)
        durable.replace(path, content)
    except OSError as error:
        raise ConfigurationError(
            "coordinator-unwritable",
            f"{path} cannot be written: {error.strerror}",
            "free space on the disk, or mend the rights of the coordinator's directory",
        ) from error
