"""What a doctor looks at in a node's directory, without a network.

Guarantees: nothing in the directory is written, also while the service runs; no case data and no secret are
shown; a directory that is half made gives lines that say what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from safeborders_fed.errors import SafeBordersError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import checkup_records, checkup_rights, key_source, layout, own_keys, policy_check
from safeborders_fed.node.approvals import NEEDED_FOR_KEYS, people
from safeborders_fed.node.expiries import expiries
from safeborders_fed.node.settings import NodeSettings, no_policy
from safeborders_fed.node.visit import Visit
from safeborders_fed.study import checkup, machine
from safeborders_fed.study.checkup import Finding, failed, ok, warning
from safeborders_fed.study.key_files import load_key, load_transport_key


def load(home: Path) -> tuple[NodeSettings | None, list[Finding]]:
    """The settings, and the line about them; None if they cannot be used."""
    try:
        settings = NodeSettings.load(home)
    except SafeBordersError as error:
        return None, [checkup.of_error("settings", error)]
    return settings, [ok("settings", f"{home} is the node of {settings.country}")]


def directory(visit: Visit) -> Iterator[Finding]:
    """Rights of the node's directory, and of what is in it where other users have roles there."""
    home = visit.settings.home
    if layout.is_shared(home):
        yield from checkup_rights.findings(home)
    else:
        yield machine.private_directory("directory", home)


def keys(visit: Visit) -> Iterator[Finding]:
    """The three key files: there, of their kind, and their owner's only."""
    settings = visit.settings
    files: tuple[tuple[str, Callable[[], Path], Callable[[Path], object]], ...] = (
        ("store-key", lambda: settings.key_path, lambda path: key_source.load(settings, path)),
        ("signing-key", lambda: settings.signing_key_path, load_key),
        ("transport-key", lambda: settings.transport_key_path, load_transport_key),
    )
    for name, path, read in files:
        yield from checkup.run(name, _key(name, path, read, settings.home))


def _key(name: str, path: Callable[[], Path], read: Callable[[Path], object], home: Path) -> checkup.Check:
    def check() -> list[Finding]:
        read(path())
        return [machine.private_key(name, path(), home)]

    return check


def stray_keys(visit: Visit) -> Iterator[Finding]:
    """Private keys have no place in the directory: whoever copies it would have them."""
    found = sorted(str(path) for path, _ in machine.private_keys_below(visit.settings.home))
    if found:
        yield warning(
            "stray-keys",
            f"private keys lie in the node's directory: {', '.join(found[:5])}",
            "move them to a medium of their owner; every copy of the directory holds them",
        )
    else:
        yield ok("stray-keys", "no private key lies in the node's directory")


def policy(visit: Visit) -> Iterator[Finding]:
    """Whether there is a policy, and whether it makes sense."""
    permitted = visit.settings.policy
    if permitted is None:
        raise no_policy(visit.settings.home)
    wrong = list(policy_check.wrong(permitted))
    if wrong:
        yield failed("policy", "; ".join(wrong), "mend [policy] in node.toml by your own procedure")
        return
    doubtful = list(policy_check.doubtful(permitted))
    if doubtful:
        yield warning("policy", "; ".join(doubtful), "confirm that this was decided, or change [policy]")
        return
    yield ok(
        "policy",
        f"permits {', '.join(sorted(permitted.analyses))} on {len(permitted.columns)} columns, epsilon "
        f"{permitted.epsilon_per_study:g} a study, {permitted.epsilon_per_year:g} a year, "
        f"{permitted.epsilon_lifetime:g} ever",
    )


def approvers(visit: Visit) -> Iterator[Finding]:
    """Whether enough people are enrolled for what the policy and changes of keys demand."""
    enrolled = [entry for entry in visit.settings.approvers() if not entry.revoked]
    able = [entry for entry in enrolled if entry.role == "approver"]
    groups = people(enrolled)
    count = len({groups[entry.public] for entry in able})
    permitted = visit.settings.policy
    needed = max(NEEDED_FOR_KEYS, permitted.approvals_needed if permitted else 0)
    fix = "enrol another with `safeborders node approver add`"
    if count < needed:
        yield failed("approvers", f"{count} people can approve, and {needed} are needed", fix)
    elif count == needed:
        yield warning(
            "approvers", f"{count} people can approve, just as many as are needed: nobody may be away", fix
        )
    else:
        yield ok("approvers", f"{count} people can approve; {needed} are needed")


def enrolment(visit: Visit) -> Iterator[Finding]:
    """What the node knows of its coordinator."""
    bundle = visit.settings.enrolment()
    if bundle.node != visit.settings.country:
        yield failed(
            "enrolment",
            f"the enrolment bundle is for {bundle.node}, this node is {visit.settings.country}",
            "ask the coordinator's operator for this node's bundle",
        )
        return
    strangers = set(visit.settings.operator_keys) - set(bundle.operator_keys())
    if strangers:
        yield warning(
            "enrolment",
            f"node.toml pins {len(strangers)} operator keys that the coordinator does not name any more",
            "compare the operators' keys with them in person, and mend operator_keys in node.toml",
        )
        return
    yield ok("enrolment", f"the coordinator is {bundle.address}; operators: {len(bundle.operators)}")


def roster(visit: Visit) -> Iterator[Finding]:
    """Whether the accepted roster holds this node's key, and is the latest that it has heard of."""
    settings = visit.settings
    accepted = settings.accepted_keys().roster
    fix = "have two approvers accept it with `safeborders node roster accept`"
    if accepted is None:
        yield failed("roster", "no roster has been accepted here", fix)
        return
    own = accepted.keys().get(settings.country)
    key = own_keys.signing_key(settings)
    waiting = own_keys.successor(settings.signing_key_path)
    held = {public_hex(key)} | ({public_hex(load_key(waiting))} if waiting.exists() else set())
    if own not in held:
        yield failed(
            "roster",
            f"version {accepted.version} of the roster does not hold the signing key of {settings.country}",
            "send the coordinator a request (`safeborders node request`), then accept the new roster",
        )
        return
    known = settings.enrolment().roster.roster.version
    if known > accepted.version:
        yield warning(
            "roster",
            f"version {accepted.version} is accepted here, and the coordinator has sent version {known}",
            fix,
        )
        return
    names = " ".join(sorted(accepted.keys()))
    yield ok("roster", f"version {accepted.version} is accepted and holds this node's key; members: {names}")


def validity(visit: Visit) -> Iterator[Finding]:
    """Days left of the roster's keys and of the coordinator's authority."""
    own = f"the key of {visit.settings.country}"
    yield from checkup.validity(
        "validity", expiries(visit.settings), visit.now.date(), lambda expiry: expiry.what == own
    )


def disk(visit: Visit) -> Iterator[Finding]:
    """Room for ledger, log and store."""
    home, store = visit.settings.home, visit.settings.store_path
    yield machine.disk("disk", home)
    if store.exists() and store.stat().st_dev != home.stat().st_dev:
        yield machine.disk("disk-of-store", store)


CHECKS: Final[dict[str, Callable[[Visit], Iterator[Finding]]]] = {
    "directory": directory,
    "keys": keys,
    "stray-keys": stray_keys,
    "policy": policy,
    "approvers": approvers,
    "enrolment": enrolment,
    "roster": roster,
    "validity": validity,
    "ledger": checkup_records.ledger,
    "audit-log": checkup_records.audit_log,
    "audit-anchors": checkup_records.audit_anchors,
    "cases": checkup_records.cases,
    "disk": disk,
}


def examine(home: Path, now: datetime, *, running: bool) -> list[Finding]:
    """All that can be said of a node's directory."""
    settings, found = load(home)
    if settings is None:
        return found + checkup.all_skipped(CHECKS, "node.toml must be mended first")
    visit = Visit(settings, now, running)
    return found + checkup.run_all({name: _bound(check, visit) for name, check in CHECKS.items()})


def _bound(check: Callable[[Visit], Iterator[Finding]], visit: Visit) -> checkup.Check:
    return lambda: check(visit)
