"""The commands ``safeborders node backup`` and ``safeborders node restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safeborders_fed.cli import output

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def backup(
    home: Annotated[Path, typer.Option("--home", help="The directory of the node.")],
    out: Annotated[Path, typer.Option("--out", help="New file, on another disk at best.")],
    as_json: Json = False,
) -> None:
    """Back the node up to one file, while its service runs or not. Key files are not in it."""
    from safeborders_fed.node.backup import back_up
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.study.machine import user

    settings = NodeSettings.load(home)
    manifest, logged = back_up(settings, out, user())
    size = out.stat().st_size
    later = "" if logged else "\nThe running service enters this in the audit log."
    files = [settings.key_path, settings.signing_key_path]
    files += [settings.transport_key_path] if settings.transport_key_file else []
    keys = ", ".join(map(str, files))
    output.result(
        {
            "backup": out,
            "hash": manifest.hash(),
            "files": len(manifest.files),
            "bytes": size,
            "logged": logged,
        },
        f"{out}: {len(manifest.files):,} files, {size / 2**20:.1f} MiB. Known as {manifest.hash()}\n"
        f"The keys are not in it: back up {keys} apart from it. Without them it cannot be restored.{later}",
        as_json=as_json,
    )


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    home: Annotated[Path, typer.Option("--home", help="A new directory for the node.")],
    as_json: Json = False,
) -> None:
    """Make a node's directory from a backup. Two people must then reconcile its ledger."""
    from safeborders_fed.node.restoring import restore as restore_node
    from safeborders_fed.study.machine import user

    manifest = restore_node(archive, home, user())
    disputed = manifest.ledger is not None
    next_step = (
        "Its ledger may lack what was spent since: it answers nothing until two people have run\n"
        f"  safeborders node ledger sign --home {home} --lost-rho RHO …   (each of them)\n"
        f"  safeborders node ledger reconcile --home {home} --lost-rho RHO …"
        if disputed
        else "It had no ledger yet: there is nothing to reconcile."
    )
    output.result(
        {"home": home, "node": manifest.node, "created": manifest.created, "hash": manifest.hash()}
        | {"must_reconcile": disputed},
        f"{home} is node {manifest.node} as of {manifest.created}.\n{next_step}",
        as_json=as_json,
    )
