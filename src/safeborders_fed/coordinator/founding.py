"""Making a coordinator reachable, and giving it its service key.

Guarantees: the settings name an address only once authority and certificate are on the disk, and a service
key only once an operator's certificate for it is. Keys are in new files outside the coordinator's directory.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Operation
from safeborders_fed.coordinator import pki, recording, service_key
from safeborders_fed.coordinator.home import CoordinatorHome, append_settings, check_outside
from safeborders_fed.coordinator.network import DEADLINE, SUPERLINK_PORT, tables
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.key_files import save_certificate_key
from safeborders_fed.study.state_changes import ServiceKey

_WHO: Final = "coordinator"


def add_network(
    home: CoordinatorHome,
    *,
    address: str,
    ca_key_file: Path,
    now: datetime,
    listen: str | None = None,
    superlink_port: int = SUPERLINK_PORT,
    deadline_seconds: float = DEADLINE,
) -> CoordinatorHome:
    """The coordinator with an address, an authority and a server certificate.

    Args:
        home: A coordinator that only looks after models so far.
        address: What nodes dial, ``host:port``.
        ca_key_file: A new file for the authority's key, outside the directory.
        now: Aware time.
        listen: Where the gate listens, ``host:port``; by default everywhere, at the address's port.
        superlink_port: Port of the SuperLink, on loopback.
        deadline_seconds: How long a round waits for a node.

    Raises:
        ConfigurationError: ``network-exists``, ``settings-invalid``, ``key-file-inside-home``,
            ``key-file-exists``, ``key-file-unwritable`` or ``coordinator-unwritable``.
    """
    if home.reached_at is not None:
        raise ConfigurationError(
            "network-exists",
            f"nodes reach this coordinator at {home.reached_at.address} already",
            "change [network] in coordinator.toml, renew the certificate, and give nodes new bundles",
        )
    check_outside(Path(ca_key_file), home.path)
    text = tables(address, listen, superlink_port, deadline_seconds)
    reachable = home.with_lines(text)
    recording.note(
        home, Operation.KEY_CHANGE, who=_WHO, why="nodes can reach it", details={"address": address}
    )
    key = ec.generate_private_key(ec.SECP384R1())
    save_certificate_key(key, Path(ca_key_file))
    pki.create_ca(home.path, key, now)
    pki.issue_server_certificate(reachable, key, now)
    made = append_settings(home, text)
    recording.log(made)
    return made


def give_service_key(
    home: CoordinatorHome, key_file: Path | None, *, by: str, operator: Ed25519PrivateKey, now: datetime
) -> CoordinatorHome:
    """The coordinator with a service key that this operator vouches for.

    Args:
        home: The coordinator, with a service key or without.
        key_file: A new file for a new key, outside the directory; None to vouch for the one in use, or to put
            the first one beside the directory.
        by: Name of the operator.
        operator: Their key.
        now: Aware time.

    Raises:
        RefusedError: ``not-an-operator`` or ``not-your-key``.
        ConfigurationError: ``settings-invalid``, ``key-file-inside-home``, ``key-file-exists``,
            ``key-file-unwritable``, ``bad-service-keys`` or ``coordinator-unwritable``; or as ``load_key``.
    """
    home.require_operator(by, operator)
    try:
        if home.service_keys and key_file is None:
            public = public_hex(home.service_key())
            service_key.keep(home.path, ServiceKey.certify(public, by=by, operator=operator, at=now))
            why = "an operator vouches for the service key"
            changed = home
        else:
            chosen = service_key.beside(home.path) if key_file is None else Path(key_file)
            check_outside(chosen, home.path)
            entry = service_key.create(home.path, chosen, by=by, operator=operator)
            changed = append_settings(home, entry.to_toml())
            why, public = "a new service key is in use", entry.public
    except OSError as error:
        raise ConfigurationError(
            "coordinator-unwritable",
            f"{home.path} cannot be written: {error.strerror}",
            "free space on the disk, or mend the rights of the directory",
        ) from error
    facts = {"service_key": public, "operator": public_hex(operator)}
    recording.record(changed, Operation.KEY_CHANGE, who=by, why=why, details=facts)
    return changed
