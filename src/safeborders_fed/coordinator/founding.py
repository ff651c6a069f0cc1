"""Making a coordinator reachable: its address, its certificate authority and its first server certificate.

Guarantees: the settings name an address only once authority and certificate are on the disk; the authority's
key is in a new file outside the coordinator's directory.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.home import CoordinatorHome, append_settings, check_outside
from safeborders_fed.coordinator.network import DEADLINE, SUPERLINK_PORT, tables
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study.key_files import save_certificate_key


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
    key = ec.generate_private_key(ec.SECP384R1())
    save_certificate_key(key, Path(ca_key_file))
    pki.create_ca(home.path, key, now)
    pki.issue_server_certificate(reachable, key, now)
    return append_settings(home, text)
