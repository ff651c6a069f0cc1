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

    from safeborders_fed.coordinator.enrolment import Done

Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
Listen = Annotated[
    str | None, typer.Option(help="HOST:PORT at which the gate listens (default: everywhere, same port).")
]
CaKeyFile = Annotated[Path, typer.Option("--ca-key-file", help="The file of the authority's key.")]
By = Annotated[str, typer.Option("--by", help="Your name, as enrolled.")]
KeyFile = Annotated[Path, typer.Option("--key-file", help="Your key file.")]
Country = Annotated[str, typer.Argument(help="The state: BE BG FI GR IT PL PT or RO.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``safeborders coordinator``."""
    app.command("network")(network)
    app.command("service-key")(service_key)
    app.command("renew-certificate")(renew_certificate)
    app.command("enrol")(enrol)
    app.command("revoke")(revoke)
    app.command("bundle")(bundle)
    app.command("members")(members)


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


def service_key(
    home: Home,
    by: By,
    key_file: KeyFile,
    service_key_file: Annotated[
        Path | None,
        typer.Option(help="A new file for a new key, outside the directory (default: keep the one in use)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Vouch for the key that signs what becomes of studies; make one where there is none or it is lost."""
    from safeborders_fed.coordinator.founding import give_service_key
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.key_files import load_key

    changed = give_service_key(
        CoordinatorHome.load(home), service_key_file, by=by, operator=load_key(key_file), now=_now()
    )
    entry = changed.service_keys[-1]
    output.result(
        {"public_key": entry.public, "key_file": entry.key_file, "by": by},
        f"{by} vouches for the service key in {entry.key_file}.\nPublic key: {entry.public}\n"
        "It signs each change of a study's state, and the coordinator's audit log. Back it up.",
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


def enrol(
    request: Annotated[Path, typer.Argument(help="The request that the node's team sent.")],
    home: Home,
    by: By,
    key_file: KeyFile,
    fingerprint: Annotated[
        str | None,
        typer.Option(help="Of the request, as a person at the node read it to you. Asked for otherwise."),
    ] = None,
    lost_key: Annotated[
        bool, typer.Option("--lost-key", help="The state has lost its signing key, as a person there says.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=1096, help="How long a new signing key is good.")] = 365,
    overlap_days: Annotated[
        int, typer.Option(min=0, max=90, help="How long the old transport key of a renewal still opens.")
    ] = 14,
    as_json: Json = False,
) -> None:
    """Enrol a node, or renew its keys: sign the next roster, and write the bundle that the node gets."""
    from safeborders_fed.cli import files
    from safeborders_fed.cli.enrolment_node import typed_fingerprint
    from safeborders_fed.coordinator.enrolment import Terms
    from safeborders_fed.coordinator.enrolment import enrol as carry_out
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.requests import kind_of
    from safeborders_fed.masking.signing import public_hex
    from safeborders_fed.study.enrolment import EnrolmentRequest
    from safeborders_fed.study.key_files import load_key

    coordinator = CoordinatorHome.load(home)
    received = EnrolmentRequest.from_bytes(files.read(request))
    kind = kind_of(coordinator, received, lost_key=lost_key)
    if fingerprint is None and kind in {"new", "lost-key"}:
        fingerprint = typed_fingerprint(f"the request of {received.country}")
    terms = Terms(by, load_key(key_file), fingerprint, lost_key, days, overlap_days)
    done = carry_out(coordinator, received, terms, _now())
    _print_done(done, key=public_hex(terms.key), as_json=as_json)


def revoke(
    country: Country,
    home: Home,
    reason: Annotated[str, typer.Option(help="Why it takes part no more.")],
    by: By,
    key_file: KeyFile,
    as_json: Json = False,
) -> None:
    """End a state's part: its transport keys open nothing any more, and the next roster is without it."""
    from safeborders_fed.coordinator.enrolment import revoke as end
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.key_files import load_key

    done = end(CoordinatorHome.load(home), country, reason, by=by, key=load_key(key_file), now=_now())
    _print_done(done, as_json=as_json)


def bundle(country: Country, home: Home, by: By, key_file: KeyFile, as_json: Json = False) -> None:
    """Write a state's bundle anew: after the address or the operators have changed."""
    from safeborders_fed.coordinator.enrolment import issue_bundle
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.key_files import load_key

    path = issue_bundle(CoordinatorHome.load(home), country, by=by, key=load_key(key_file), now=_now())
    output.result({"country": country, "bundle": path}, f"Send {path} to {country}.", as_json=as_json)


def members(home: Home, as_json: Json = False) -> None:
    """List who is enrolled, with keys and what ends when."""
    from safeborders_fed.coordinator import enrolment
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.accepted_keys import fingerprint
    from safeborders_fed.study.validity import warnings

    coordinator, today = CoordinatorHome.load(home), _now().date()
    found = enrolment.members(coordinator)
    warned = warnings(enrolment.expiries(coordinator), today)
    rows = [
        [
            member.country,
            str(member.since),
            "enrolled" if member.revoked is None else f"revoked on {member.revoked}: {member.reason}",
            str(len(member.transport_on(today))),
            fingerprint(member.public),
        ]
        for member in found.values()
    ]
    text = output.table(["state", "since", "status", "transport keys", "signing key"], rows)
    content = {
        "members": [member.model_dump(mode="json") for member in found.values()],
        "warnings": [{"text": entry.text, "level": entry.level, "fix": entry.expiry.fix} for entry in warned],
    }
    output.result(content, text if rows else "No state is enrolled yet.", as_json=as_json)
    for entry in warned:
        output.message(f"{entry.level}: {entry.text}. {entry.expiry.fix}")


def _print_done(done: Done, *, key: str | None = None, as_json: bool) -> None:
    from safeborders_fed.study.accepted_keys import fingerprint

    country = done.member.country
    said = {
        "new": f"{country} is enrolled",
        "renewal": f"The keys of {country} are renewed",
        "lost-key": f"{country} has a new key in place of the lost one",
        "again": f"This request of {country} was carried out before",
        "revoked": f"{country} is revoked, and its transport keys open nothing any more",
    }[done.kind]
    lines = [f"{said}; version {done.version} of the roster is the last."]
    if done.bundle is not None:
        lines.append(f"Send to {country}: {done.bundle}")
    if done.kind in {"new", "lost-key"} and key is not None:
        lines.append(
            f"Whoever accepts it there calls you. Read your own fingerprint to them:\n  {fingerprint(key)}"
        )
    if done.roster is not None:
        lines.append(f"Send to every other state: {done.roster}")
    content = {
        "kind": done.kind,
        "country": country,
        "roster_version": done.version,
        "roster": done.roster,
        "bundle": done.bundle,
        "operator_key": key,
    }
    output.result(content, "\n".join(lines), as_json=as_json)


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)
