"""Released tables as a reader holds them: a document, with statements beside it.

Guarantees: nothing is read from tables that are withdrawn, or that are not those which the statement beside
them is about. Without pinned keys a reader learns who claims to have signed, and that these signatures
verify; only keys that the reader knows by a way of their own say that these are the coordinator's operators.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.reporting import exports
from safeborders_fed.study import canonical, table_file, table_statement
from safeborders_fed.study.model_statement import LARGEST_STATEMENT, Action
from safeborders_fed.study.table_file import SUFFIX, DisclosedTable, Loaded
from safeborders_fed.study.table_statement import SignedTables

NEEDED: Final = 2


@dataclass(frozen=True)
class Released:
    """Tables and the statement of their release.

    Attributes:
        loaded: The tables.
        statement: Of their release, its signatures verified.
        path: Where they were read.
    """

    loaded: Loaded
    statement: SignedTables
    path: Path

    @property
    def citation(self) -> str:
        """How to cite them."""
        tables, said = self.loaded.tables, self.statement.statement
        return (
            f"SafeBorders Federated, tables {tables.id} (study {tables.study}, {', '.join(tables.states)}), "
            f"released {said.day.isoformat()}, SHA-256 {self.loaded.sha256}"
        )


def read(path: Path) -> Released:
    """Released tables, with the statement beside them.

    Raises:
        ConfigurationError: ``file-missing``.
        PeerError: ``bad-tables``, ``bad-statement``, ``bad-signature``, ``tables-altered``,
            ``not-released``, when no statement lies beside them.
        RefusedError: ``release-withdrawn``.
    """
    loaded = table_file.read(_bounded(path, table_file.LARGEST))
    withdrawal = _beside(path, loaded, "withdrawal")
    if withdrawal is not None:
        said = withdrawal.statement
        raise RefusedError(
            "release-withdrawn",
            f"tables {loaded.tables.id} were withdrawn on {said.day.isoformat()}: {said.reason}",
            "use a later release; do not cite this one",
        )
    statement = _beside(path, loaded, "release")
    if statement is None:
        raise PeerError(
            "not-released",
            f"no statement of release lies beside {path}",
            f"get {loaded.tables.id}.tables.release.json from the publisher, and put it beside the tables",
        )
    return Released(loaded, statement, path)


def verify(
    released: Released, operators: Collection[str], needed: int, where: Path | None
) -> tuple[str, ...]:
    """Checks all that can be checked, and says what it was.

    Args:
        released: The tables.
        operators: Public keys that the reader has pinned; without any, nobody is known.
        needed: How many different ones of them must have signed.
        where: Directory whose exports are checked.

    Raises:
        PeerError: ``wrong-operator`` or ``export-altered``.
    """
    said = [f"the document is well-formed, and its SHA-256 is {released.loaded.sha256}"]
    signers = ", ".join(entry.by for entry in released.statement.signatures)
    released.statement.check(operators, needed if operators else 0)
    if operators:
        said.append(f"at least {needed} pinned operators signed its release (signatures: {signers})")
    else:
        said.append(f"NOT CHECKED: whose keys these are; signatures by {signers} verify, no key was given")
    for name, sha256 in sorted(released.loaded.file.exports.items()):
        file = None if where is None else where / name
        if file is None or not file.exists():
            said.append(f"not checked: {name} is not there")
        elif canonical.sha256(_bounded(file, table_file.LARGEST)) != sha256:
            raise PeerError(
                "export-altered",
                f"{file} is not the file that was released with {released.loaded.tables.id}",
                "make it again with `safeborders report export`, or ask the publisher",
            )
        else:
            said.append(f"{name} is the file that was released")
    return tuple(said)


def export(released: Released) -> dict[str, bytes]:
    """The public exports by file name, as they were released.

    Raises:
        PeerError: ``export-differs``, when this software makes other bytes of the same tables.
    """
    files = exports.exports(released.loaded.tables)
    differing = [
        name
        for name, data in files.items()
        if released.loaded.file.exports.get(name) != canonical.sha256(data)
    ]
    if differing:
        raise PeerError(
            "export-differs",
            f"this software makes other bytes of {', '.join(differing)} than version "
            f"{released.loaded.tables.software_version} did",
            "use that version, or get the files from the publisher",
        )
    return files


def extract(table: DisclosedTable, wanted: Mapping[str, str]) -> tuple[exports.Row, ...]:
    """The rows of a table with those codes on those axes.

    Raises:
        UsageError: ``unknown-axis`` or ``unknown-code``, naming the nearest.
    """
    axes = {axis.name: axis.codes for axis in table.axes}
    for name, code in wanted.items():
        if name not in axes:
            raise UsageError(
                "unknown-axis",
                f"table {table.name!r} has no axis {name!r}",
                f"choose {table_file.nearest(name, axes) if axes else 'a table with axes'}",
            )
        if code not in axes[name]:
            raise UsageError(
                "unknown-code",
                f"axis {name!r} has no code {code!r}",
                f"choose {table_file.nearest(code, axes[name])}",
            )
    return tuple(
        row for row in exports.rows_of(table) if all(row.codes[name] == code for name, code in wanted.items())
    )


def _beside(path: Path, loaded: Loaded, action: Action) -> SignedTables | None:
    """The statement beside tables, if there is one, its signatures verified."""
    file = path.with_name(f"{loaded.tables.id}{SUFFIX.removesuffix('.json')}.{action}.json")
    if not file.exists():
        return None
    signed = table_statement.parse(_bounded(file, LARGEST_STATEMENT))
    signed.check((), 0)
    said = signed.statement
    if (said.action, str(said.id), said.sha256) != (action, loaded.tables.id, loaded.sha256):
        raise PeerError(
            "tables-altered",
            f"{file} is about other bytes than {path} holds",
            "ask the publisher for both files again, and find out who changed one",
        )
    return signed


def _bounded(path: Path, largest: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(largest + 1)
    except OSError as error:
        raise ConfigurationError(
            "file-missing", f"{path} cannot be read: {error.strerror}", "check the path of the file"
        ) from error
