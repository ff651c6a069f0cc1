"""Mappings: how the columns and codes of one national file become fields of the data contract.

Guarantees: a ``Mapping`` that exists is right in itself. Unknown keys, fields, codes, encodings and date
directives, a code that means two things, and a missing required field are refused when it is made, with the
place in the file. Whether the national file has the columns is checked at import. The format is described
in ``docs/mapping.md``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from safeborders_fed.cases import contract
from safeborders_fed.cases.contract import CONTRACT_VERSION, Kind
from safeborders_fed.cases.sources import (
    Coded,
    DateSource,
    FileFormat,
    Identifier,
    KeySource,
    MultiSource,
    Period,
    SingleSource,
    Strict,
)
from safeborders_fed.errors import ConfigurationError, UsageError

REQUIRED: Final = ("case_id", "victim_id", "registration_date")
"""Fields that every mapping must fill."""
SUFFIXES: Final = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""File name endings and the format that each stands for."""

Source = KeySource | DateSource | SingleSource | MultiSource
_SOURCES: Final[dict[Kind, type[Strict]]] = {
    Kind.KEY: KeySource,
    Kind.DATE: DateSource,
    Kind.SINGLE: SingleSource,
    Kind.MULTI: MultiSource,
}


class Mapping(Strict):
    """A whole mapping. ``fields`` holds a source for each mapped field, by its name in the contract."""

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)
    description: str
    source: str = ""
    contract_version: Literal["1"]
    period: Period
    file: FileFormat = FileFormat()
    fields: dict[str, Source]
    identifiers: Annotated[tuple[Identifier, ...], Field(strict=False)] = ()

    @field_validator("fields", mode="wrap")
    @classmethod
    def _by_kind(cls, value: object, _: object, info: ValidationInfo) -> dict[str, Source]:
        """Read each table as its field's kind demands; a union would report the errors of every kind."""
        del info
        if not isinstance(value, dict):
            raise ValueError("must be a table of fields")  # noqa: TRY004 (pydantic reports ValueError)
        return {str(name): _source(str(name), table) for name, table in value.items()}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in REQUIRED if name not in self.fields]
        if missing:
            raise ValueError(f"[fields.{missing[0]}] is missing: every mapping must fill it")
        return self

    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping names, each once, in order."""
        return tuple(dict.fromkeys(column for _, column in self.uses()))

    def uses(self) -> Iterator[tuple[str, str]]:
        """Pairs of a field (or ``identifiers``) and a column that fills it."""
        for name, source in self.fields.items():
            if isinstance(source, MultiSource):
                yield from ((name, flag.column) for flag in source.flags)
            if source.column is not None:
                yield name, source.column
        for identifier in self.identifiers:
            yield from (("identifiers", column) for column in identifier.sources)

    def format_of(self, path: Path) -> str:
        """The format of the file: as the mapping says, or by its suffix.

        Raises:
            UsageError: ``unknown-format``.
        """
        found = self.file.format or SUFFIXES.get(path.suffix.lower())
        if found is None:
            raise UsageError(
                "unknown-format",
                f"the ending of {path.name!r} does not say what kind of file it is",
                'write format = "csv" (or excel, parquet, jsonl) in the [file] table of the mapping',
            )
        return found


class _PlacedError(ValueError):
    """A mistake with its place inside ``fields``."""


def _source(name: str, table: object) -> Source:
    try:
        entry = contract.field(name)
    except UsageError as error:
        raise _PlacedError(f"[fields.{name}]: {error.cause}") from None
    if isinstance(table, KeySource | DateSource | SingleSource | MultiSource):
        return table
    try:
        source = _SOURCES[entry.kind].model_validate(table)
    except ValidationError as error:
        raise _PlacedError(_first_mistake(error, f"fields.{name}")) from None
    _check_contract_codes(entry, source)
    return source  # type: ignore[return-value]  # one of the four, by the table above


def _check_contract_codes(entry: contract.Field, source: Strict) -> None:
    used: list[tuple[str, str]] = []
    if isinstance(source, Coded):
        used += [(f"values.{text}", code) for text, code in source.values.items()]
    if isinstance(source, SingleSource) and source.constant is not None:
        used.append(("constant", source.constant))
    if isinstance(source, SingleSource) and source.number and entry.name != "age_band":
        raise _PlacedError(f"[fields.{entry.name}] number: only age_band is read from a number")
    if isinstance(source, MultiSource):
        used += [(f"flags.{flag.column}", flag.value) for flag in source.flags]
    for place, code in used:
        if code not in entry.codes:
            raise _PlacedError(
                f"[fields.{entry.name}] {place}: {code!r} is not a value of the contract's {entry.name}"
            )


def _first_mistake(error: ValidationError, table: str) -> str:
    """One sentence for the first mistake: table, key, what is wrong."""
    details = error.errors(include_url=False)[0]
    message = details["msg"].removeprefix("Value error, ")
    if message.startswith("["):  # a mistake that carries its place already
        return message
    path = [str(part) for part in details["loc"]]
    if path and not table:
        table, path = (path[0], path[1:]) if len(path) > 1 else ("", path)
    place = ".".join(path)
    if details["type"] == "extra_forbidden":
        message = "no such key"
    return " ".join(filter(None, (f"[{table}]" if table else "", f"{place}:" if place else "", message)))


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping.

    Raises:
        ConfigurationError: ``mapping-missing``, ``mapping-not-toml`` or ``mapping-invalid``; the cause names
            file, table and key.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            "mapping-not-toml",
            f"{path} is not UTF-8 text (byte {error.start})",
            "save the mapping as UTF-8",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "mapping-missing", f"{path} cannot be read: {error.strerror}", "check the path of the mapping"
        ) from error
    return parse_mapping(text, str(path))


def parse_mapping(text: str, name: str) -> Mapping:
    """The mapping in ``text``; ``name`` stands for the file in messages. Raises as ``load_mapping``."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(
            "mapping-not-toml", f"{name} is not TOML: {error}", "mend the line named; text needs quotes"
        ) from error
    version = table.get("contract_version")
    if isinstance(version, str) and version != CONTRACT_VERSION:
        raise ConfigurationError(
            "mapping-invalid",
            f"{name}: contract_version {version!r} is not that of this program, {CONTRACT_VERSION!r}",
            "review the mapping against `safeborders node contract`, then set its contract_version",
        )
    try:
        return Mapping.model_validate(table)
    except ValidationError as error:
        raise ConfigurationError(
            "mapping-invalid",
            f"{name}: {_first_mistake(error, '')}",
            "mend that key; docs/mapping.md describes all of them",
        ) from error
