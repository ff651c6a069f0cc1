"""The commands of ``safeborders report`` for readers of released tables.

Guarantees: each command parses, calls one function and prints. Nothing is read from tables that are withdrawn
or altered. A reader needs no directory of a node or coordinator.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import files, output

if TYPE_CHECKING:
    from safeborders_fed.reporting.comparing import Change
    from safeborders_fed.reporting.exports import Row

File = Annotated[
    Path, typer.Argument(help="Released tables (ID.tables.json), with their statement beside them.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``safeborders report``."""
    for command in (export, verify, extract, compare):
        app.command(command.__name__)(command)


def export(
    file: File,
    out: Annotated[Path, typer.Option("--out", help="An existing directory for the files.")],
    as_json: Json = False,
) -> None:
    """Write SDMX-CSV 2.0, plain CSV with labels, and Parquet."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.reporting import exports, reading

    released = reading.read(file)
    made = reading.export(released)
    for name in made:
        if (out / name).exists():
            raise UsageError(
                "out-exists", f"{out / name} exists already", "give an empty directory with --out"
            )
    for name, data in made.items():
        files.write_new(out / name, data)
    left = exports.left_out(released.loaded.tables)
    beside = exports.only_in_document(released.loaded.tables)
    content = {
        "release": released.loaded.tables.id,
        "sha256": released.loaded.sha256,
        "files": [str(out / name) for name in made],
        "not_in_sdmx": list(left),
        "in_document_only": list(beside),
        "cite": released.citation,
    }
    lines = [*content["files"], f"Cite: {released.citation}"]
    if left:
        lines.append(f"Not in the SDMX-CSV, whose columns cannot hold them: {', '.join(left)}.")
    if beside:
        lines.append(f"In the document alone, not in these files: {', '.join(beside)}.")
    output.result(content, "\n".join(map(str, lines)), as_json=as_json)


def verify(
    file: File,
    operator_key: Annotated[
        list[str] | None, typer.Option("--operator-key", help="An operator's public key; repeat it for each.")
    ] = None,
    coordinator: Annotated[
        Path | None, typer.Option(help="A coordinator's directory, to take its operators' keys from.")
    ] = None,
    node: Annotated[
        Path | None, typer.Option(help="A node's directory, to take the keys from that it has pinned.")
    ] = None,
    needed: Annotated[int, typer.Option(min=1, max=16, help="How many operators must have signed.")] = 2,
    exported: Annotated[
        Path | None, typer.Option("--exports", help="Directory of exports to check (default: beside FILE).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check signatures and hashes, and say what was checked."""
    from safeborders_fed.reporting import reading

    released = reading.read(file)
    keys = _keys(operator_key or [], coordinator, node)
    said = reading.verify(released, keys, needed, exported or file.parent)
    content = {
        "release": released.loaded.tables.id,
        "sha256": released.loaded.sha256,
        "signers": [entry.by for entry in released.statement.signatures],
        "signers_known": bool(keys),
        "checked": list(said),
        "cite": released.citation,
    }
    output.result(content, "\n".join([f"{released.loaded.tables.id}:", *said]), as_json=as_json)


def extract(
    file: File,
    table: Annotated[str, typer.Argument(help="Name of a table, such as `year x form`.")],
    where: Annotated[
        list[str] | None, typer.Option("--where", help="AXIS=CODE; repeat it for each axis.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print rows of a table by the codes of its axes, with the release that they are from."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.reporting import reading

    pairs = [each.partition("=") for each in where or []]
    if any(not mark for _, mark, _ in pairs) or len({name for name, _, _ in pairs}) != len(pairs):
        raise UsageError(
            "usage", "--where is AXIS=CODE, once for an axis", "write --where form=LabourExploitation"
        )
    released = reading.read(file)
    chosen = released.loaded.tables.table(table)
    found = reading.extract(chosen, {name: code for name, _, code in pairs})
    names = [axis.name for axis in chosen.axes]
    text = output.table(
        (*names, "count", "95% interval"),
        [[*row.codes.values(), _count(row.value), _interval(row.lower, row.upper)] for row in found],
    )
    content = {
        "release": released.loaded.tables.id,
        "sha256": released.loaded.sha256,
        "date": released.statement.statement.day.isoformat(),
        "cite": released.citation,
        "table": chosen.name,
        "rows": [_row(row) for row in found],
    }
    output.result(content, f"{text}\n\nCite: {released.citation}", as_json=as_json)


def compare(
    before: Annotated[Path, typer.Argument(help="The earlier release (ID.tables.json).")],
    after: Annotated[Path, typer.Argument(help="The later release.")],
    as_json: Json = False,
) -> None:
    """Print the counts that changed beyond noise and rounding, of those that both releases publish."""
    from safeborders_fed.reporting import reading
    from safeborders_fed.reporting.comparing import compare as changes_of

    one, other = reading.read(before), reading.read(after)
    every = changes_of(one, other)
    found = [change for change in every if change.stands_out]
    said = (
        f"{len(found)} of {len(every)} counts that both releases publish changed by more than their margins. "
        "If none had changed, up to 5% of them could by chance; the others cannot be told from noise."
    )
    content = {
        "compared": len(every),
        "changed": [_change(each) for each in found],
        "cite": [one.citation, other.citation],
    }
    cited = f"Cite: {one.citation}\n      {other.citation}"
    text = f"{_changes(found)}\n\n" if found else ""
    output.result(content, f"{text}{said}\n{cited}", as_json=as_json)


def _changes(found: list[Change]) -> str:
    return output.table(
        ("table", "codes", "before", "after", "margin of the change"),
        [
            [change.table, ", ".join(change.codes.values()), change.before, change.after, change.margin]
            for change in found
        ],
    )


def _change(change: Change) -> dict[str, Any]:
    return {
        "table": change.table,
        "codes": change.codes,
        "before": change.before,
        "after": change.after,
        "change": change.after - change.before,
        "margin": change.margin,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "codes": row.codes,
        "count": row.value,
        "lower95": row.lower,
        "upper95": row.upper,
        "obs_status": row.status[0],
        "conf_status": row.status[1],
    }


def _count(value: int | None) -> str:
    return "suppressed" if value is None else f"{value:,}"


def _interval(lower: int | None, upper: int | None) -> str:
    return "" if lower is None or upper is None else f"{lower:,} to {upper:,}"


def _keys(given: list[str], coordinator: Path | None, node: Path | None) -> tuple[str, ...]:
    """The public keys that the reader trusts."""
    from safeborders_fed.errors import ConfigurationError

    found = [key.lower() for key in given]
    if coordinator is not None:
        from safeborders_fed.coordinator.home import CoordinatorHome

        found += [operator.public for operator in CoordinatorHome.load(coordinator).operators]
    if node is not None:
        from safeborders_fed.node.settings import NodeSettings

        found += NodeSettings.load(node).operator_keys
    if not found and node is not None:
        raise ConfigurationError(
            "no-operator-keys",
            f"the node in {node} has pinned no operator",
            "give the keys with --operator-key",
        )
    return tuple(dict.fromkeys(found))
