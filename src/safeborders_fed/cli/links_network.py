"""The command ``safeborders node links network``: the networks of a node, for its own people.

Guarantees: looking and writing are in the audit log before anything is shown; files are of mode 600, new, and
never written over another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.links.network import Network
    from safeborders_fed.links.network_sizes import Standing

_COLUMNS: Final = (
    "network",
    "cases",
    "victims",
    "identifiers",
    "elsewhere",
    "states",
    "held by",
    "all states",
)


def register(app: typer.Typer) -> None:
    """Adds the command to ``safeborders node links``."""
    app.command("network")(network)


def network(
    home: Annotated[Path, typer.Option("--home", help="The directory of the node.")],
    by: Annotated[str, typer.Option("--by", help="Your name, for the audit log.")],
    out: Annotated[
        Path | None, typer.Option(help="A directory for networks.html: pictures and tables.")
    ] = None,
    graphml: Annotated[
        bool, typer.Option("--graphml", help="Write networks.graphml for analysts' tools, too; with --out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the networks that identifiers and approved hits make of this node's cases."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.links import network_files
    from safeborders_fed.links.office import open_office
    from safeborders_fed.node.settings import NodeSettings

    if graphml and out is None:
        raise UsageError("no-directory", "--graphml has nowhere to go", "name a directory with --out")
    office = open_office(NodeSettings.load(home))
    found = network_files.look(office, by=by)
    written = () if out is None else network_files.write(office, found, out, graphml=graphml, by=by)
    rows = [_row(each, found.across.get(each.number, ())) for each in found.networks]
    text = output.table(_COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
    if not rows:
        text = "No identifier joins two cases here, or a case with another state."
    lines = [text, *(f"Written: {path}" for path in written), network_files.NOTICE]
    content = {"networks": rows, "files": [str(path) for path in written]}
    output.result(content, "\n".join(lines), as_json=as_json)


def _row(found: Network, across: Sequence[Standing]) -> dict[str, Any]:
    held = found.held_by
    return {
        "network": found.number,
        "cases": len(found.of("case")),
        "victims": len(found.of("victim")),
        "identifiers": len(found.of("identifier")),
        "elsewhere": len(found.of("foreign")),
        "states": " ".join(found.partners) or "-",
        "held by": "-" if held is None else f"{held.of} {held.name[:12]}",
        "all states": ", ".join(f"{known.label[:8]} {known.size}" for known in across) or "-",
    }
