"""What the options of ``coordinator study draft`` mean, and the plan that takes the place of all of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from safeborders_fed.cli import output
from safeborders_fed.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from safeborders_fed.coordinator.home import CoordinatorHome

T = TypeVar("T")


def show_plan(home: CoordinatorHome, file: Path, *, as_json: bool) -> int:
    """Shows what a year of studies costs; the exit code: 5 if it exceeds a cap."""
    from datetime import UTC, datetime

    from safeborders_fed.cli import plan_text
    from safeborders_fed.coordinator.members import current_roster
    from safeborders_fed.coordinator.spending import past, spending
    from safeborders_fed.study import budget, budget_plan

    plan, today = budget_plan.load(file), datetime.now(UTC).date()
    participants = plan.participants or tuple(current_roster(home).roster.keys())
    spent = spending(home, today)
    found = budget.outlook(plan, budget.costs(plan, participants), past(spent, plan.year, today), today)
    content, text = plan_text.content(plan, found, spent), plan_text.text(plan, found, spent)
    if not found.exceeded:
        output.result(content, text, as_json=as_json)
        return 0
    problem = found.exceeded[0].error()
    error = {"code": problem.code, "cause": problem.cause, "fix": problem.fix}
    output.result(content | {"error": error}, text, as_json=as_json)
    if not as_json:
        output.error(problem, as_json=False)
    return problem.exit_code


def require_none(*options: object) -> None:
    """Refuses a plan together with the terms of a study, which would be passed over.

    Raises:
        UsageError: ``usage``.
    """
    if any(option is not None for option in options):
        raise UsageError(
            "usage",
            "a plan drafts nothing, so a study's name or terms beside it mean nothing",
            "give --plan FILE alone, and write the studies into the file",
        )


def given(name: str, value: T | None) -> T:
    """An option that a draft needs and a plan does not.

    Raises:
        UsageError: ``usage``.
    """
    if value is None:
        raise UsageError(
            "usage",
            f"a draft needs {name}",
            "see `safeborders coordinator study draft --help`; a plan of a year is shown with --plan FILE",
        )
    return value


def parameters(file: Path | None) -> dict[str, Any]:
    """Parameters of an analysis from a TOML file; none without a file.

    Raises:
        ConfigurationError: ``parameters-unreadable`` or ``parameters-invalid``.
    """
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "parameters-unreadable", f"{file} cannot be read: {error.strerror}", "check the path"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            "parameters-invalid", f"{file} is not TOML: {error}", "mend the line named"
        ) from error


def trust(word: str) -> Literal["masked", "local"]:
    """A trust mode. Raises UsageError ``usage``."""
    match word:
        case "masked" | "local":
            return word
    raise UsageError("usage", f"{word!r} is no trust mode", "give masked or local")


def category(word: str | None) -> Any:
    """A category of purpose, or None for that of the analysis. Raises UsageError ``usage``."""
    from safeborders_fed.analyses.base import PURPOSE_CATEGORIES

    if word is None or word in PURPOSE_CATEGORIES:
        return word
    raise UsageError(
        "usage", f"{word!r} is no category of purpose", f"give one of {', '.join(PURPOSE_CATEGORIES)}"
    )
