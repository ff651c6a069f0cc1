"""The commands of ``safeborders coordinator`` around who takes part, and who the coordinator is.

Guarantees: each command parses, calls one function and prints; everything heavy is imported inside it. A key
is named by its file, never typed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from datetime import datetime

Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
Listen = Annotated[
    str | None, typer.Option(help="HOST:PORT at which the gate listens (default: everywhere, same port).")
]
CaKeyFile = Annotated[Path, typer.Option("--ca-key-file", help="The file of the authority's key.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``safeborders coordinator``."""
    app.command("network")(network)
    app.command("renew-certificate")(renew_certificate)


def network(
    home: Home,
    address: Annotated[str, typer.Option(help="HOST:PORT that nodes dial.")],
    ca_key_file: Annotated[
        Path, typer.Option(help="A new file for the authority's key, outside the directory.")
    ],
    listen: Listen = None,
    as_json: Json = False,
) -> None:
    """Make a coordinator that only looked after models reachable: address, authority and certificate."""
    from safeborders_fed.coordinator.founding import add_network
    from safeborders_fed.coordinator.home import CoordinatorHome

    made = add_network(
        CoordinatorHome.load(home), address=address, listen=listen, ca_key_file=ca_key_file, now=_now()
    )
    output.result(
        {"address": made.network.address, "ca_key_file": ca_key_file},
        f"Nodes reach the coordinator at {made.network.address}. The authority's key is in {ca_key_file}: "
        "keep it on a medium of its own; it is needed once a year.",
        as_json=as_json,
    )


def renew_certificate(
    home: Home,
    ca_key_file: CaKeyFile,
    days: Annotated[int, typer.Option(min=1, max=397, help="For how many days.")] = 397,
    as_json: Json = False,
) -> None:
    """Put a new server certificate in use. The one before stays valid; nodes notice nothing."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.pki import expiry, issue_server_certificate
    from safeborders_fed.study.key_files import load_certificate_key

    coordinator = CoordinatorHome.load(home)
    certificate, key = issue_server_certificate(coordinator, load_certificate_key(ca_key_file), _now(), days)
    until = expiry(coordinator)["server"]
    output.result(
        {"certificate": certificate, "key": key, "until": until.isoformat()},
        f"The certificate in {certificate} is valid until {until:%Y-%m-%d} and in use. A running gate takes "
        "it up by itself.",
        as_json=as_json,
    )


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)
