"""The commands of ``safeborders node`` around its enrolment: request, enrol, renew.

Guarantees: each command parses, calls one function and prints. A fingerprint is typed or passed by a person
who heard it; no command compares a file with itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from datetime import datetime

    from safeborders_fed.node.enrolment import Accepted, Written
    from safeborders_fed.node.settings import NodeSettings

Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
LOGGED = "It is in the audit log."
WAITS = "The entry for the audit log waits: whoever opens the log next, such as the service, writes it."


def register(app: typer.Typer) -> None:
    """Adds the commands to ``safeborders node``."""
    app.command("request")(request)
    app.command("enrol")(enrol)
    app.command("renew")(renew)


def request(home: Home, as_json: Json = False) -> None:
    """Write this node's enrolment request again, with its keys: a request is good for 30 days."""
    from safeborders_fed.node.enrolment import write_request
    from safeborders_fed.node.settings import NodeSettings

    written = write_request(NodeSettings.load(home), now())
    output.result(request_content(written), request_text(written), as_json=as_json)


def enrol(
    bundle: Annotated[Path, typer.Argument(help="The file that the coordinator's operator sent.")],
    home: Home,
    by: Annotated[str, typer.Option(help="Your name, for the audit log.")],
    fingerprint: Annotated[
        str | None,
        typer.Option(help="The operator's fingerprint, as that person read it to you. Asked for otherwise."),
    ] = None,
    approval: Annotated[
        list[Path] | None,
        typer.Option(help="For another coordinator than before: a signed approval, one for each person."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Accept the coordinator's bundle: its address, its certificate authority, its operators' keys."""
    from safeborders_fed.cli import files
    from safeborders_fed.node.enrolment import accept_bundle
    from safeborders_fed.node.rosters import approvals_from_bytes
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.study.enrolment import EnrolmentBundle

    settings = NodeSettings.load(home)
    received = EnrolmentBundle.from_bytes(files.read(bundle))
    accepted = accept_bundle(
        settings,
        received,
        fingerprint=fingerprint or _asked(settings, received.coordinator()),
        by=by,
        now=now(),
        approvals=[entry for path in approval or () for entry in approvals_from_bytes(files.read(path))],
    )
    _print_enrolled(accepted, bundle, as_json=as_json)


def _print_enrolled(accepted: Accepted, file: Path, *, as_json: bool) -> None:
    received = accepted.bundle
    renewed = "\nThe renewed transport key is in use; a running service connects with it by itself."
    operators = ", ".join(operator.name for operator in received.operators)
    output.result(
        {
            "node": received.node,
            "address": received.address,
            "operators": [operator.model_dump() for operator in received.operators],
            "new_transport_key": accepted.new_transport_key,
            "logged": accepted.logged,
        },
        f"The coordinator of this node is at {received.address}; signing for it: {operators}.\n"
        f"{LOGGED if accepted.logged else WAITS}{renewed * accepted.new_transport_key}\n"
        f"Next: safeborders node roster show {file}",
        as_json=as_json,
    )


def renew(
    home: Home,
    signing: Annotated[bool, typer.Option(help="Renew the signing key.")] = True,
    transport: Annotated[bool, typer.Option(help="Renew the transport key.")] = True,
    lost_key: Annotated[
        bool, typer.Option("--lost-key", help="The signing key is lost: people must accept the new one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make new keys beside those in use, and a request for them signed by the key in use."""
    from safeborders_fed.node.enrolment import renew as make
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    written = make(settings, now(), signing=signing, transport=transport, lost_key=lost_key)
    output.result(request_content(written), request_text(written), as_json=as_json)


def request_content(written: Written) -> dict[str, Any]:
    """A request, for machines."""
    found = written.request
    return {
        "request": written.path,
        "country": found.country,
        "fingerprint": found.fingerprint(),
        "public_key": found.public,
        "renewal": found.renews is not None,
    }


def request_text(written: Written) -> str:
    """A request, for people."""
    from safeborders_fed.study.accepted_keys import fingerprint

    found = written.request
    if found.renews is not None:
        return (
            f"Send {written.path} to the coordinator's operator. It is signed by the key in use, so nobody "
            "needs to compare anything. The new keys wait until the bundle and the roster come back."
        )
    return (
        f"Send {written.path} to the coordinator's operator, and call that person. Read to them:\n"
        f"  {fingerprint(found.fingerprint())}\n"
        "The people of the other states will ask you for this node's signing key:\n"
        f"  {fingerprint(found.public)}"
    )


def now() -> datetime:
    """The time, UTC."""
    from datetime import UTC, datetime

    return datetime.now(UTC)


def typed_fingerprint(whose: str) -> str | None:
    """What a person types who heard it; None where there is no terminal to ask at."""
    import sys

    if not sys.stdin.isatty():
        return None
    return str(typer.prompt(f"Type the fingerprint of {whose}, as that person reads it to you", err=True))


def _asked(settings: NodeSettings, coordinator: str) -> str | None:
    """The fingerprint from the terminal, unless this coordinator is accepted already."""
    from safeborders_fed.node.enrolment import FILE

    known = (settings.home / FILE).exists() and settings.enrolment().coordinator() == coordinator
    return None if known else typed_fingerprint("the coordinator's operator")
