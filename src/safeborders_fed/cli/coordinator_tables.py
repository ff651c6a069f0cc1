"""The commands of the coordinator for published tables.

Guarantees: each command parses, calls one function and prints. A key is named by its file, never typed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.coordinator.handing_out import Signed
    from safeborders_fed.coordinator.table_releases import ListedTables
    from safeborders_fed.study.table_notes import EarlyWarnings

app = typer.Typer(
    help="Prepare tables for release, and look at them.", no_args_is_help=True, rich_markup_mode=None
)

Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
By = Annotated[str, typer.Option("--by", help="Your name, as enrolled.")]
KeyFile = Annotated[Path, typer.Option("--key-file", help="Your key file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Wanted = Annotated[str, typer.Argument(help="STUDY-VERSION, or STUDY for its latest version.")]


@app.command("prepare")
def prepare(
    study: Annotated[str, typer.Argument(help="A finished study of trends or typologies.")],
    home: Home,
    base: Annotated[int, typer.Option(min=1, max=100, help="Round counts to multiples of it.")] = 5,
    threshold: Annotated[int, typer.Option(min=1, max=1000, help="Suppress rounded counts below it.")] = 10,
    widest: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Suppress counts whose noise exceeds this percentage of them."),
    ] = 100,
    false_alarms: Annotated[
        float,
        typer.Option(min=0.0001, max=0.5, help="Share of reports without a change that may raise a warning."),
    ] = 0.05,
    warnings: Annotated[bool, typer.Option(help="Put early warnings beside the tables.")] = True,
    past: Annotated[
        list[str] | None,
        typer.Option(
            help="A finished study of earlier periods for the warnings to look back on; may be given again, "
            "earliest first."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Round and suppress the tables of a study: a candidate that operators can sign."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.table_releases import find
    from safeborders_fed.errors import UsageError
    from safeborders_fed.reporting.table_release import prepare as make
    from safeborders_fed.study.table_file import Rules

    if threshold < base:
        raise UsageError(
            "usage",
            f"a threshold of {threshold} below the base of {base} would publish zeros for small counts",
            "give a --threshold of at least the --base",
        )
    coordinator = CoordinatorHome.load(home)
    rules = Rules(base=base, threshold=threshold, widest=widest)
    rate, today = false_alarms if warnings else None, datetime.now(UTC).date()
    made = make(coordinator, study, rules, today, rate, past=past or ())
    _show(find(coordinator, made.tables.id), as_json=as_json)


@app.command("list")
def list_tables(home: Home, as_json: Json = False) -> None:
    """List all tables, what became of them, and who has signed."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.table_releases import listed

    rows = [_content(entry) for entry in listed(CoordinatorHome.load(home))]
    text = output.table(
        ("tables", "status", "signed by", "made"),
        [[row["release"], row["status"], ", ".join(row["signed"]), row["created"]] for row in rows],
    )
    output.result({"tables": rows}, text if rows else "There are no tables yet.", as_json=as_json)


@app.command("show")
def show(tables: Wanted, home: Home, as_json: Json = False) -> None:
    """Show what tables hold and suppress, and the hash that operators sign."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.table_releases import find

    _show(find(CoordinatorHome.load(home), tables), as_json=as_json)


def release_tables(
    tables: Wanted,
    home: Home,
    by: By,
    key_file: KeyFile,
    sha256: Annotated[str, typer.Option("--hash", help="SHA-256 that `tables show` prints: what you sign.")],
    reason: Annotated[
        str | None, typer.Option(help="What they are released for; the first operator says it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign the release of tables. With enough signatures they are put where readers get them from."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.table_releases import release
    from safeborders_fed.study.key_files import load_key

    coordinator, key, today = CoordinatorHome.load(home), load_key(key_file), datetime.now(UTC).date()
    signed = release(coordinator, tables, sha256=sha256, by=by, key=key, today=today, reason=reason)
    print_signed(signed, "released", as_json=as_json)


@app.command("noisy")
def noisy(
    tables: Wanted,
    home: Home,
    reader: Annotated[str, typer.Option("--for", help="Name of the analyst who gets them.")],
    reason: Annotated[str, typer.Option(help="What they are for; the operators sign the same.")],
    by: By,
    key_file: KeyFile,
    out: Annotated[Path, typer.Option("--out", help="A new file for the analyst.")],
    as_json: Json = False,
) -> None:
    """Sign that an analyst gets the noisy measurements. With enough signatures they are written."""
    from safeborders_fed.cli import files
    from safeborders_fed.coordinator import noisy_copies
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.errors import UsageError
    from safeborders_fed.study.key_files import load_key

    beside = out.with_name(f"{out.name}.approval.json")
    if out.exists() or beside.exists():
        raise UsageError("out-exists", f"{out} or {beside.name} exists already", "name a new file with --out")
    coordinator, key, today = CoordinatorHome.load(home), load_key(key_file), datetime.now(UTC).date()
    wanted = noisy_copies.Wanted(tables, reader, reason)
    approved = noisy_copies.approve(coordinator, wanted, by=by, key=key, today=today)
    written = []
    if approved.copy is not None:
        files.write_new(out, approved.copy.noisy)
        files.write_new(beside, approved.copy.approval)
        written = [out, beside]
    content = {
        "signed": list(approved.signed),
        "missing": approved.missing,
        "files": [str(path) for path in written],
    }
    people = ", ".join(approved.signed)
    text = f"Signed by {people}. {approved.missing} more must sign before {reader} gets them."
    if written:
        names = "\n".join(f"  {path}" for path in written)
        text = f"Signed by {people}. For {reader} alone, not rounded and not suppressed:\n{names}"
    output.result(content, text, as_json=as_json)


def withdraw_tables(tables: str, home: Path, by: str, key_file: Path, reason: str, *, as_json: bool) -> None:
    """Withdraw tables, for ``release withdraw --tables``."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.table_releases import withdraw
    from safeborders_fed.study.key_files import load_key

    coordinator, key, today = CoordinatorHome.load(home), load_key(key_file), datetime.now(UTC).date()
    signed = withdraw(coordinator, tables, by=by, key=key, today=today, reason=reason)
    print_signed(signed, "withdrawn", as_json=as_json)


def print_signed(signed: Signed, done: str, *, as_json: bool) -> None:
    """Prints who signed tables, and what to hand out."""
    content = {
        "signed": list(signed.signed),
        "missing": signed.missing,
        "files": [str(path) for path in signed.files],
    }
    people = ", ".join(signed.signed)
    if signed.missing:
        text = f"Signed by {people}. {signed.missing} more must sign before they are {done}."
    else:
        names = "\n".join(f"  {path}" for path in signed.files)
        text = f"Signed by {people}: {done}. Give to every reader, in one directory:\n{names}"
    output.result(content, text, as_json=as_json)


def _content(entry: ListedTables) -> dict[str, Any]:
    tables = entry.loaded.tables
    return {
        "release": tables.id,
        "sha256": entry.loaded.sha256,
        "status": entry.status,
        "signed": list(entry.signed),
        "withdrawal": entry.withdrawal,
        "study": tables.study,
        "manifest_hash": tables.manifest_hash,
        "rules": tables.rules.model_dump(),
        "compared": tables.compared,
        "created": tables.created.isoformat(),
        "tables": [
            {"name": table.name, "cells": len(table.cells), "suppressed": table.cells.count(None)}
            for table in tables.tables
        ],
        "types": None if tables.types is None else [each.name for each in tables.types],
        "warnings": None if tables.warnings is None else _warnings(tables.warnings),
        "exports": entry.loaded.file.exports,
    }


def _warnings(found: EarlyWarnings) -> dict[str, Any]:
    return {
        "false_alarm_rate": found.false_alarm_rate,
        "period": found.period,
        "tested": found.tested,
        "too_short": found.short,
        "raised": found.raised,
        "not_named": found.withheld,
        "series": [each.model_dump() for each in found.series],
    }


def _said_of_warnings(found: EarlyWarnings | None) -> str:
    if found is None:
        return "none were asked for"
    if not found.tested:
        return "nothing could be tested"
    hidden = f", of which {found.withheld} are not named" if found.withheld else ""
    return (
        f"{found.raised} of {found.tested} series{hidden}; false alarms at most {found.false_alarm_rate:.2%}"
    )


def _show(entry: ListedTables, *, as_json: bool) -> None:
    content = _content(entry)
    rules = entry.loaded.tables.rules
    lines = {
        "Tables": f"{content['release']}, made on {content['created']}",
        "SHA-256": content["sha256"],
        "Status": entry.status + (f": {entry.withdrawal}" if entry.withdrawal else ""),
        "Signed by": ", ".join(entry.signed) or "nobody",
        "Study": f"{content['study']}, manifest {content['manifest_hash']}",
        "Rules": f"rounded to {rules.base}, at least {rules.threshold}, noise at most {rules.widest}%",
        "Compared": ", ".join(content["compared"]) or "with none: nothing is released yet",
        "Warnings": _said_of_warnings(entry.loaded.tables.warnings),
    }
    if content["types"] is not None:
        lines["Types"] = ", ".join(content["types"])
    counts = output.table(
        ("table", "cells", "suppressed"),
        [[row["name"], row["cells"], row["suppressed"]] for row in content["tables"]],
    )
    text = "\n".join(f"{name + ':':<11}{value}" for name, value in lines.items())
    output.result(content, f"{text}\n\n{counts}", as_json=as_json)
