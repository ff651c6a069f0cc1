"""The file of a budget plan: a year of studies, and the caps that it is held against (TOML).

Guarantees: strict and frozen. Unknown keys, wrong types, NaN and infinities are refused, two studies have two
names, every day lies in the plan's year; an error names the study, the key, and for an unknown key the
nearest one that exists.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic import Field as Limit
from pydantic_core import ErrorDetails

from safeborders_fed.analyses.registry import ANALYSES
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study.manifest import Identifier, NodeName

_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
_Epsilon = Annotated[float, Limit(gt=0, le=1000)]
_QUARTERS: Final = 4
RHO_PER_COUNT: Final = 0.00125
"""A count of the victims of one population with discrete Gaussian noise of deviation 20: 1 / (2 x 20^2)."""
_FIX: Final = "mend that key; docs/budget.md shows a plan with all of them"


class PlannedCaps(BaseModel):
    """The caps that all states' policies keep: the smallest of each. Defaults are those of ADR 20.

    Attributes:
        delta: The delta at which epsilon is meant.
        epsilon_per_study: Of one study.
        epsilon_per_year: Of all studies of a calendar year together.
        epsilon_lifetime: Of all studies ever.
    """

    model_config = _STRICT

    delta: float = Limit(default=1e-6, gt=0, le=1e-5)
    epsilon_per_study: _Epsilon = 1.0
    epsilon_per_year: _Epsilon = 2.2
    epsilon_lifetime: _Epsilon = 8.0


class PlannedStudy(BaseModel):
    """One study, asked once or several times in the year.

    Attributes:
        name: Unique within the plan.
        analysis: As in a manifest.
        parameters: As in a manifest; or ``parameters_file``, a TOML file beside the plan.
        parameters_file: Likewise.
        epsilon: What each time may cost one victim, retries among it.
        times: How often, spread evenly over the year; or ``dates``.
        dates: On which days.
        retries: As in a manifest, and likewise what follows.
        trust: Likewise.
        colluders: Likewise.
        minimum: Likewise.
        max_victims: Likewise.
    """

    model_config = _STRICT

    name: Identifier
    analysis: str
    parameters: dict[str, Any] = {}
    parameters_file: str | None = None
    epsilon: _Epsilon
    times: int = Limit(default=1, ge=1, le=366)
    dates: tuple[date, ...] = Limit(default=(), max_length=366)
    retries: int = Limit(default=2, ge=0, le=100)
    trust: Literal["masked", "local"] = "masked"
    colluders: int = Limit(default=1, ge=0)
    minimum: int | None = Limit(default=None, ge=1)
    max_victims: int = Limit(default=2_000_000, ge=1)

    @field_validator("analysis")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ANALYSES:
            raise ValueError(f"there is no analysis {name[:64]!r}{_nearest(name, tuple(ANALYSES))}")
        return name

    @field_validator("parameters")
    @classmethod
    def _as_json(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(parameters, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ValueError("holds a date, a nan or an infinity, which no parameter is") from None
        return parameters

    @model_validator(mode="after")
    def _once(self) -> PlannedStudy:
        if {"times", "dates"} <= self.model_fields_set:
            raise ValueError("give times or dates, not both")
        if len(set(self.dates)) != len(self.dates):
            raise ValueError("a date is named twice")
        return self


class Plan(BaseModel):
    """A year of studies.

    Attributes:
        year: The calendar year (UTC), as ledgers count it.
        participants: The states; by default all of the roster.
        caps: What policies permit.
        counts_per_year: How often a node draws a noisy count of its victims, to hold against the least number
            that its policy asks for: once a population and new snapshot. By default four times (a snapshot a
            quarter) for each population that the plan's studies name.
        rho_per_count: What one costs.
        studies: At least one.
    """

    model_config = _STRICT

    year: int = Limit(ge=2000, le=2200)
    participants: tuple[NodeName, ...] | None = Limit(default=None, min_length=1, max_length=64)
    caps: PlannedCaps = PlannedCaps()
    counts_per_year: int | None = Limit(default=None, ge=0, le=366)
    rho_per_count: float = Limit(default=RHO_PER_COUNT, gt=0, le=1)
    studies: tuple[PlannedStudy, ...] = Limit(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _fit_together(self) -> Plan:
        names = [study.name for study in self.studies]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two studies are called {name!r}")
        for study in self.studies:
            for day in study.dates:
                if day.year != self.year:
                    raise ValueError(f"study {study.name!r}: {day} is not in {self.year}")
        if self.participants is not None and len(set(self.participants)) != len(self.participants):
            raise ValueError("a participant is named twice")
        return self

    @property
    def counts(self) -> int:
        """How many counts a node draws in the year."""
        if self.counts_per_year is not None:
            return self.counts_per_year
        return _QUARTERS * len({str(study.parameters.get("population", "all")) for study in self.studies})


def load(path: Path) -> Plan:
    """Reads a plan, and the files of parameters that it names.

    Raises:
        ConfigurationError: ``plan-missing``, ``plan-not-toml`` or ``bad-plan``; the cause names file and key.
    """
    return checked(path, _table(path))


def checked(path: Path, table: dict[str, Any]) -> Plan:
    """The plan that a table holds; ``path`` is where it comes from. Raises as ``load``."""
    studies = table.get("studies")
    for study in studies if isinstance(studies, list) else ():
        if isinstance(study, dict) and isinstance(study.get("parameters_file"), str):
            if "parameters" in study:
                raise _bad(path, "give parameters or parameters_file, not both")
            study["parameters"] = _table(path.parent / study["parameters_file"])
    try:
        return Plan.model_validate(_with_tuples(table))
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        # A key that is misspelt is also missing under its right name: the misspelling says more.
        first = next((entry for entry in mistakes if entry["type"] == "extra_forbidden"), mistakes[0])
        raise _bad(path, _in_words(first, table)) from error


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "plan-missing", f"{path} cannot be read: {error.strerror}", "check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        why = str(error).splitlines()[0] if isinstance(error, ValueError) else "it is nested too deeply"
        raise ConfigurationError(
            "plan-not-toml", f"{path} is not TOML: {why}", "mend the line named; text needs quotes"
        ) from error


def _with_tuples(table: dict[str, Any]) -> dict[str, Any]:
    """The table with tuples where strict models hold them: TOML has lists only."""
    found = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    if isinstance(found.get("studies"), tuple):
        found["studies"] = tuple(
            {**study, "dates": tuple(study["dates"])}
            if isinstance(study, dict) and isinstance(study.get("dates"), list)
            else study
            for study in found["studies"]
        )
    return found


def _in_words(mistake: ErrorDetails, table: dict[str, Any]) -> str:
    """What is wrong, and where."""
    path = list(mistake["loc"])
    place = ""
    kind: type[BaseModel] = Plan
    if path[:1] == ["studies"] and len(path) > 1:
        study = table["studies"][path[1]]
        name = study.get("name", path[1]) if isinstance(study, dict) else path[1]
        place, kind, path = f"study {str(name)[:64]!r}: ", PlannedStudy, path[2:]
    elif path[:1] == ["caps"]:
        kind = PlannedCaps if len(path) > 1 else Plan
    key = ".".join(str(part) for part in path)
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "extra_forbidden":
        message = "no such key" + _nearest(str(path[-1]), tuple(kind.model_fields))
    return f"{place}{key[:80]}: {message}" if key else f"{place}{message}"


def _nearest(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word[:64], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known))}"


def _bad(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError("bad-plan", f"{path}: {what}", _FIX)
