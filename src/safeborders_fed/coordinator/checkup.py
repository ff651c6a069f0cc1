"""What a doctor looks at in a coordinator's directory, without a network.

Guarantees: nothing in the directory is written; no secret is shown; a directory that is half made gives lines
that say what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.members import members, rosters
from safeborders_fed.coordinator.service_key import certificates
from safeborders_fed.errors import SafeBordersError
from safeborders_fed.study import checkup, machine
from safeborders_fed.study.checkup import Finding, failed, ok, warning
from safeborders_fed.study.key_files import load_certificate_key, located
from safeborders_fed.study.validity import Expiry, roster_expiries

FEWEST_MEMBERS: Final = 3
"""With fewer than three nodes a masked sum shows each participant the other's contribution."""


@dataclass(frozen=True)
class Visit:
    """One look at a coordinator.

    Attributes:
        home: Its directory and settings.
        now: Aware time.
    """

    home: CoordinatorHome
    now: datetime


def load(path: Path) -> tuple[CoordinatorHome | None, list[Finding]]:
    """The coordinator, and the line about its settings; None if they cannot be used."""
    try:
        home = CoordinatorHome.load(path)
    except SafeBordersError as error:
        return None, [checkup.of_error("settings", error)]
    return home, [ok("settings", f"{path} is a coordinator's directory")]


def directory(visit: Visit) -> Iterator[Finding]:
    """Rights of the coordinator's directory."""
    yield machine.private_directory("directory", visit.home.path)


def operators(visit: Visit) -> Iterator[Finding]:
    """Whether enough operators are enrolled for a release."""
    count, needed = len(visit.home.operators), visit.home.release_signatures
    fix = "enrol another with `safeborders coordinator operator add`"
    if count < needed:
        yield warning("operators", f"operators: {count}; a release needs {needed}", fix)
    elif count == 1:
        yield warning("operators", "one person alone signs for this coordinator", fix)
    else:
        yield ok("operators", f"operators: {count}; a release needs {needed}")


def service(visit: Visit) -> Iterator[Finding]:
    """Whether the service can sign, and nodes can tell that it may."""
    visit.home.service_key()
    entry = visit.home.service_keys[-1]
    signers = [operator.public for operator in visit.home.operators]
    vouching = [
        certificate.by
        for certificate in certificates(visit.home.path)
        if certificate.public == entry.public and certificate.is_vouched_for(signers)
    ]
    if not vouching:
        yield failed(
            "service-key",
            "no operator vouches for the service key: nodes believe nothing that it signs",
            "run `safeborders coordinator service-key --by NAME --key-file FILE` with an operator's key",
        )
        return
    yield machine.private_key("service-key", located(visit.home.path / entry.key_file), visit.home.path)
    yield ok("service-key", f"{', '.join(vouching)} vouch for the service key")


def network(visit: Visit) -> Iterator[Finding]:
    """Whether nodes are told where to go."""
    found = visit.home.network
    yield ok(
        "network", f"nodes dial {found.address}; the gate listens on {found.listen_host}:{found.listen_port}"
    )


def certificate(visit: Visit) -> Iterator[Finding]:
    """Whether the server's certificate is the authority's, for the right name, and its key beside it."""
    file, key_file = pki.server_files(visit.home)
    found = x509.load_pem_x509_certificate(file.read_bytes())
    authority = x509.load_pem_x509_certificate(pki.ca_certificate(visit.home))
    host = visit.home.network.host
    fix = "run `safeborders coordinator renew-certificate`"
    if load_certificate_key(key_file).public_key() != found.public_key():
        yield failed("certificate", f"{key_file} is not the key of {file}", fix)
    elif not _issued_by(found, authority):
        yield failed("certificate", f"{file} is not signed by this coordinator's authority", fix)
    elif host not in _names(found):
        yield failed("certificate", f"{file} is not for {host}, which nodes dial", fix)
    else:
        yield machine.private_key("certificate", key_file, visit.home.path)


def _issued_by(found: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        found.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(found: x509.Certificate) -> set[str]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return addresses | set(names.get_values_for_type(x509.DNSName))


def validity(visit: Visit) -> Iterator[Finding]:
    """Days left of the certificates."""
    until = pki.expiry(visit.home)
    expiries = [
        Expiry(
            "the server certificate",
            until["server"].date(),
            "run `safeborders coordinator renew-certificate`",
        ),
        Expiry(
            "the certificate authority",
            until["ca"].date(),
            "make a new coordinator directory with a new authority, and enrol the nodes again",
        ),
    ]
    yield from checkup.validity("validity", expiries, visit.now.date())


def enrolled(visit: Visit) -> Iterator[Finding]:
    """Whether members and rosters agree, are whole, and enough for a study."""
    chain, known = rosters(visit.home), members(visit.home)
    if not chain:
        yield warning(
            "members", "no state is enrolled yet", "enrol requests with `safeborders coordinator enrol`"
        )
        return
    current = chain[-1].roster
    active = {name: member.public for name, member in known.items() if member.revoked is None}
    if active != current.keys():
        yield failed(
            "members",
            f"version {current.version} of the roster does not hold the members on file",
            "restore the coordinator's directory from backup; never edit members or rosters",
        )
        return
    text = f"version {current.version} of the roster: {' '.join(sorted(active))}"
    if len(active) < FEWEST_MEMBERS:
        yield warning("members", f"{text}; a study needs {FEWEST_MEMBERS}", "enrol more states")
        return
    yield ok("members", text)


def roster_keys(visit: Visit) -> Iterator[Finding]:
    """Days left of the members' keys. Each state renews its own."""
    chain = rosters(visit.home)
    expiries = roster_expiries(chain[-1].roster) if chain else []
    yield from checkup.validity("roster-keys", expiries, visit.now.date(), lambda _: False)


def secrets_elsewhere(visit: Visit) -> Iterator[Finding]:
    """The authority's and the operators' keys have no place in the directory."""
    owners = dict(_owners(visit.home))
    served = {path.resolve() for path in visit.home.path.glob("pki/*/server.key")}
    wrong, doubtful = [], []
    for path, public in machine.private_keys_below(visit.home.path):
        if public in owners:
            wrong.append(f"{path} is the key of {owners[public]}")
        elif path.resolve() not in served:
            doubtful.append(str(path))
    fix = "move it to a medium of its owner; if anybody may have copied it, replace the key"
    if wrong:
        yield failed("keys-elsewhere", "; ".join(wrong), fix)
    elif doubtful:
        yield warning("keys-elsewhere", f"private keys lie in the directory: {', '.join(doubtful[:5])}", fix)
    else:
        yield ok("keys-elsewhere", "neither the authority's nor an operator's key lies in the directory")


def _owners(home: CoordinatorHome) -> Iterator[tuple[str | None, str]]:
    for operator in home.operators:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(operator.public))
        yield key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(), operator.name
    if home.reached_at is not None:
        authority = x509.load_pem_x509_certificate(pki.ca_certificate(home)).public_key()
        yield (
            authority.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(),
            "the certificate authority",
        )


def disk(visit: Visit) -> Iterator[Finding]:
    """Room for studies and SuperLink's database."""
    yield machine.disk("disk", visit.home.path)


CHECKS: Final[dict[str, Callable[[Visit], Iterator[Finding]]]] = {
    "directory": directory,
    "operators": operators,
    "service-key": service,
    "network": network,
    "certificate": certificate,
    "validity": validity,
    "members": enrolled,
    "roster-keys": roster_keys,
    "keys-elsewhere": secrets_elsewhere,
    "disk": disk,
}


def examine(path: Path, now: datetime) -> list[Finding]:
    """All that can be said of a coordinator's directory."""
    home, found = load(path)
    if home is None:
        return found + checkup.all_skipped(CHECKS, "coordinator.toml must be mended first")
    visit = Visit(home, now)
    return found + checkup.run_all({name: _bound(check, visit) for name, check in CHECKS.items()})


def _bound(check: Callable[[Visit], Iterator[Finding]], visit: Visit) -> checkup.Check:
    return lambda: check(visit)
