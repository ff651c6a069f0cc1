"""What a doctor says: one finding a line, and who must act on them all.

Guarantees: a check that fails in whatever way gives a line and never a traceback; what an unforeseen error
quotes is not shown, since it could be a record or a secret. Pure but for the checks that it is handed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from safeborders_fed.errors import (
    ConfigurationError,
    DataError,
    DefectError,
    PeerError,
    RefusedError,
    SafeBordersError,
    UsageError,
)
from safeborders_fed.study.validity import Expiry, warnings

Level = Literal["ok", "warning", "failed", "skipped"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "failed", "skipped")
WORST_FIRST: Final[tuple[type[SafeBordersError], ...]] = (
    DefectError,
    UsageError,
    ConfigurationError,
    DataError,
    RefusedError,
    PeerError,
)
"""Which of several failures decides the exit code.

A defect first, since then nothing else that is said can be relied on; then what is to be mended on this
machine, since it may be why the other side seems to fail; the other side last.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        name: What was looked at; stable, for scripts.
        level: How it is.
        text: What that means, in one sentence.
        fix: What to do; empty when there is nothing to do.
        who: Exit code of whoever must act, as in ``errors``; 0 unless it failed.
    """

    name: str
    level: Level
    text: str
    fix: str = ""
    who: int = 0

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "level": self.level,
            "text": self.text,
            "fix": self.fix,
            "exit_code": self.who,
        }


Check = Callable[[], Iterable[Finding]]


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", text)


def warning(name: str, text: str, fix: str) -> Finding:
    """It works now; somebody should act before it no longer does."""
    return Finding(name, "warning", text, fix)


def failed(name: str, text: str, fix: str, who: type[SafeBordersError] = ConfigurationError) -> Finding:
    """It does not work; ``who`` says who must act."""
    return Finding(name, "failed", text, fix, who.exit_code)


def skipped(name: str, text: str) -> Finding:
    """It was not looked at, and why."""
    return Finding(name, "skipped", text)


def of_error(name: str, error: SafeBordersError) -> Finding:
    """The line for an error that a check ended with."""
    return Finding(name, "failed", f"{error.cause} [{error.code}]", error.fix, error.exit_code)


def run(name: str, check: Check) -> list[Finding]:
    """What a check finds; whatever it raises becomes a line.

    Args:
        name: The line's name, should the check raise.
        check: Looks at one thing.
    """
    try:
        return list(check())
    except SafeBordersError as error:
        return [of_error(name, error)]
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return [
            failed(
                name,
                f"{where}{error.strerror or type(error).__name__}",
                "run this as the user of the service, and mend the rights of the file",
            )
        ]
    except Exception as error:  # noqa: BLE001 - its text may quote a record or a secret
        return [failed(name, f"the check itself failed: {type(error).__name__}", "report this", DefectError)]


def run_all(checks: Mapping[str, Check]) -> list[Finding]:
    """What all checks find, in their order."""
    return [finding for name, check in checks.items() for finding in run(name, check)]


def all_skipped(names: Iterable[str], text: str) -> list[Finding]:
    """A line for each check that could not be made."""
    return [skipped(name, text) for name in names]


def exit_code(findings: Iterable[Finding]) -> int:
    """0 unless something failed; then the code of whoever must act first (``WORST_FIRST``)."""
    codes = {finding.who for finding in findings if finding.level == "failed"}
    order = [kind.exit_code for kind in WORST_FIRST]
    return min(codes, key=order.index, default=0)


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many lines there are of each level."""
    found = Counter(finding.level for finding in findings)
    return {level: found[level] for level in LEVELS}


def validity(
    name: str,
    expiries: Sequence[Expiry],
    today: date,
    own: Callable[[Expiry], bool] = lambda _: True,
) -> list[Finding]:
    """A line for each thing that ends soon or has ended; one line if none does.

    Args:
        name: The line's name.
        expiries: What ends some day.
        today: UTC.
        own: Whether this side must act on it; else the other side must.
    """
    if not expiries:
        return [skipped(name, "there is nothing yet that ends")]
    found = []
    for warned in warnings(expiries, today):
        sentence = warned.text
        if warned.level == "expired":
            who = ConfigurationError if own(warned.expiry) else PeerError
            found.append(failed(name, sentence, warned.expiry.fix, who))
        else:
            found.append(warning(name, sentence, warned.expiry.fix))
    first = min(expiries, key=lambda expiry: expiry.until)
    left = (first.until - today).days
    return found or [ok(name, f"{len(expiries)} in all; the next to end is {first.what}, in {left} days")]
