"""The commands of ``safeborders node cases``: what lies in the case store, its keys, erasure and retention.

Guarantees: an id of a victim is typed at a prompt or stands in a file, never on the command line; nothing
prompts without a terminal; what removes something shows first what goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.node.erasing import Concerned
    from safeborders_fed.node.retention import Purged
    from safeborders_fed.node.settings import NodeSettings

app = typer.Typer(help="Look after the case store.", no_args_is_help=True, rich_markup_mode=None)

Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
By = Annotated[str, typer.Option("--by", help="Your name, for the audit log.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_DISK = (
    "The files are unlinked. An SSD, a file system with snapshots or a journal may keep what they held for a "
    "while, encrypted."
)
_NOT_REACHED = (
    "Not reached: backups; review lists, files of rejected rows and national files that people keep "
    "elsewhere."
)


@app.command("list")
def list_snapshots(home: Home, as_json: Json = False) -> None:
    """List the snapshots of the case store: sizes, studies that run on them, and what goes when."""
    from safeborders_fed.node.inventory import inventory
    from safeborders_fed.node.settings import NodeSettings

    found = inventory(NodeSettings.load(home))
    table = output.table(
        ("snapshot", "time", "rows", "victims", "bytes", "studies under way"),
        [
            (entry.id, entry.created, entry.rows, entry.victims, entry.bytes, ", ".join(entry.studies) or "-")
            for entry in found.snapshots
        ],
    )
    lines = [table if found.snapshots else "The case store is empty."]
    if found.erased:
        lines.append(f"Erased victims whom imports leave out: {found.erased:,}")
    if found.rejected_files:
        lines.append(f"Files of rejected rows, in clear: {found.rejected_files:,}")
    lines.append(f"Retention: {found.retention}")
    output.result(found.content(), "\n".join(lines), as_json=as_json)


@app.command("rekey")
def rekey_store(
    home: Home,
    by: By,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    as_json: Json = False,
) -> None:
    """Give the case store new keys and encrypt all of it anew. The node's service is stopped."""
    from safeborders_fed.cli.progress import file_progress
    from safeborders_fed.node.rekeying import rekey
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    with file_progress("Encrypting anew", quiet=as_json) as progress:
        done = rekey(settings, by=by, why=reason, progress=progress)
    output.result(
        vars(done),
        f"{done.snapshots:,} snapshots ({done.files:,} files, {done.rows:,} rows) and {done.review_files:,} "
        f"review files are under new keys, which are in {done.key_file}. Snapshots keep their ids.\n"
        "The old keys are gone from there, and from the store all that they opened.\n"
        f"{_DISK}\n"
        f"Next: back up {done.key_file}, and make a new backup of the node. Earlier backups open with copies "
        "of the old key file alone: keep one as long as you need them, then destroy both.",
        as_json=as_json,
    )


@app.command("rewrap")
def rewrap(
    home: Home,
    by: By,
    out: Annotated[Path, typer.Option("--out", help="A new key file, outside the node's directory.")],
    to: Annotated[str, typer.Option("--to", help="What it is to be under: none, passphrase or kms.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File of mode 600 with the new passphrase (default: ask).")
    ] = None,
    wrapped_key: Annotated[
        Path | None, typer.Option(help="With kms: file with the key as the key service wrapped it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the same keys to a new key file, under a passphrase, a key service, or nothing."""
    from safeborders_fed.node.rewrapping import rewrap as rewrap_keys
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    lines = rewrap_keys(settings, out, wanted(to, passphrase_file, wrapped_key), by=by)
    output.result(
        {"key_file": out, "settings": lines, "old_key_file": settings.key_path},
        f"{out} holds the keys of the case store. Write into {home / 'node.toml'}:\n\n{lines}\n\n"
        f"and restart the service. When `safeborders node doctor` is content, destroy {settings.key_path}.",
        as_json=as_json,
    )


@app.command("erase")
def erase_victims(
    home: Home,
    by: By,
    reason: Annotated[str, typer.Option(help="Why, for the audit log. It names nobody.")],
    id_file: Annotated[
        Path | None, typer.Option(help="File with national victim ids, one a line (default: ask).")
    ] = None,
    pseudonym: Annotated[
        list[str] | None, typer.Option(help="Pseudonym of a victim, instead of an id; may be repeated.")
    ] = None,
    confirm: Annotated[
        int | None, typer.Option(min=0, help="Number of records shown, where there is no terminal.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Erase victims from all snapshots, review lists and files of rejected rows. The service is stopped."""
    from safeborders_fed.node.erasing import concerned, erase
    from safeborders_fed.node.journal import now
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    victims = _victims(settings, id_file, pseudonym)
    found = concerned(settings, victims)
    if confirm is None:
        output.message(_concerned_text(found))
    confirmed = confirm if confirm is not None else _confirmed(found.records)
    done = erase(settings, victims, confirmed=confirmed, by=by, why=reason, now=now())
    where = f"The new snapshot is {done.snapshot}." if done.snapshot else "No snapshot held any."
    output.result(
        _content(done) | {"snapshot": done.snapshot},
        f"{done.rows:,} cases and {done.listed:,} listed referrals of {len(done.victims):,} victims are "
        f"erased, with {done.rejected_files:,} files of rejected rows. {where}\n"
        "Imports of the national file leave these victims out, unless with --restore.\n"
        f"{_DISK}\n{_NOT_REACHED}\n"
        "The ledger is as it was: what was spent on their records stays spent.",
        as_json=as_json,
    )


@app.command("purge")
def purge_cases(
    home: Home,
    now_option: Annotated[bool, typer.Option("--now", help="Do it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what is past its period in [retention] of node.toml, as the service does by itself, daily."""
    from safeborders_fed.audit import notices
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node.journal import now
    from safeborders_fed.node.retention import purge
    from safeborders_fed.node.settings import NodeSettings

    if now_option == dry_run:
        raise UsageError("purge-how", "give one of --dry-run and --now", "begin with --dry-run")
    settings = NodeSettings.load(home)
    found = purge(settings, now(), dry_run=dry_run)
    if not dry_run:
        notices.log_now(settings.open_audit_log)
    output.result(vars(found), _purged_text(found), as_json=as_json)


def wanted(to: str, passphrase_file: Path | None, wrapped_key: Path | None) -> Any:
    """What a key file is to be under, from the options of a command. Raises UsageError ``key-protection``."""
    from safeborders_fed.cases.wrapping import Protection
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node.key_source import Wanted

    if to not in list(Protection):
        raise UsageError(
            "key-protection", f"{to!r} is no protection of a key file", "give none, passphrase or kms"
        )
    file = passphrase_file.absolute() if passphrase_file is not None else None
    return Wanted(Protection(to), file, wrapped_key)


def _victims(settings: NodeSettings, id_file: Path | None, given: list[str] | None) -> tuple[str, ...]:
    import sys

    from safeborders_fed.cli import files
    from safeborders_fed.errors import DataError, UsageError
    from safeborders_fed.node.erasing import checked, pseudonyms

    if given and id_file is not None:
        raise UsageError("which-victims", "there are ids and pseudonyms", "give one of the two")
    if given:
        return checked(given)
    if id_file is None:
        if not sys.stdin.isatty():
            raise UsageError("no-terminal", "there is no terminal to ask for the id", "use --id-file")
        return pseudonyms(settings.store_keys(), [input("National victim id: ")])
    try:
        ids = files.read(id_file).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            "bad-id-file", f"{id_file} is not UTF-8", "save it as UTF-8, one id a line"
        ) from error
    return pseudonyms(settings.store_keys(), ids)


def _confirmed(records: int) -> int:
    """The number that a person repeats. Raises UsageError ``confirmation-missing``."""
    import sys

    from safeborders_fed.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(
            "confirmation-missing",
            f"nothing is erased: {records} records would go, and there is no terminal to confirm it at",
            f"look at what goes, and repeat the command with --confirm {records}",
        )
    typed = input("This cannot be undone. Type the number of records to erase them: ").strip()
    if typed != str(records):
        raise UsageError("confirmation-missing", "nothing is erased: another number was typed", "try again")
    return records


def _content(found: Concerned) -> dict[str, Any]:
    return {
        "victims": len(found.victims),
        "records": found.records,
        "cases": found.rows,
        "snapshots": found.snapshots,
        "listed": found.listed,
        "rejected_files": found.rejected_files,
        "erased_before": found.erased_before,
        "studies": list(found.studies),
    }


def _concerned_text(found: Concerned) -> str:
    text = (
        f"{found.records:,} records of {len(found.victims):,} victims: {found.rows:,} cases, in "
        f"{found.snapshots:,} snapshots, and {found.listed:,} referrals on review lists."
    )
    lines = [text]
    lines += [f"  pseudonym {victim}" for victim in found.victims[:20]]
    if found.rejected_files:
        lines.append(f"All {found.rejected_files:,} files of rejected rows go as well: they may name them.")
    if found.erased_before:
        lines.append(f"{found.erased_before:,} of the victims were erased before.")
    if found.studies:
        lines.append(f"Studies under way go on without them: {', '.join(found.studies)}.")
    if not found.records:
        lines.append("Nothing is known of them here. Confirmed with 0, imports leave them out from now on.")
    return "\n".join([*lines, _NOT_REACHED])


def _purged_text(found: Purged) -> str:
    verb = "would be removed" if found.dry_run else "are removed"
    text = (
        f"{found.rows:,} cases of {found.victims:,} victims, {len(found.snapshots):,} snapshots and "
        f"{found.rejected_files:,} files of rejected rows {verb}."
    )
    lines = [text]
    if found.snapshot:
        lines.append(f"The new snapshot is {found.snapshot}.")
    if found.waiting_for:
        lines.append(f"Cases wait for the end of studies under way: {', '.join(found.waiting_for)}.")
    if found.anything and not found.dry_run:
        lines.append(_DISK)
    return "\n".join(lines)
