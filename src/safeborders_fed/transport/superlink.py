"""SuperLink on loopback: Flower's own, told to trust nobody and to install nothing.

Guarantees: it listens on 127.0.0.1 only; nodes are known by registered keys; tasks are handed out only
against a secret that this coordinator's executor shares; its state is a file, so that it goes on after a
crash; telemetry and runtime installation of packages are off.
"""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flwr.superlink.cli import flower_superlink

from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.transport import lean
from safeborders_fed.transport.status import RUN_DIRECTORY

DATABASE_FILE: Final = "superlink.sqlite"
SECRET_FILE: Final = "secret"  # noqa: S105 - a file name


@dataclass(frozen=True)
class SuperLinkSettings:
    """Where SuperLink listens and keeps its state.

    Attributes:
        directory: The coordinator's ``run`` directory.
        port: Port on 127.0.0.1.
        ca_certificate: PEM file by which its certificate is checked.
        certificate: PEM file of its certificate (for 127.0.0.1 too).
        key: PEM file of its key.
    """

    directory: Path
    port: int
    ca_certificate: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, home: CoordinatorHome) -> SuperLinkSettings:
        """Where a coordinator's SuperLink is.

        Raises:
            ConfigurationError: ``no-network``.
        """
        certificate, key = pki.server_files(home)
        return cls(
            directory=home.path / RUN_DIRECTORY,
            port=home.network.superlink_port,
            ca_certificate=home.path / "pki" / "ca.crt",
            certificate=certificate,
            key=key,
        )

    @property
    def address(self) -> str:
        """Where processes of this machine reach it."""
        return f"127.0.0.1:{self.port}"

    @property
    def secret(self) -> Path:
        """File of the secret that the executor shares with it."""
        return self.directory / SECRET_FILE


def prepare(settings: SuperLinkSettings) -> None:
    """Makes the shared secret if there is none, before processes are forked."""
    if not settings.secret.exists():
        file = os.open(settings.secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as secret:
            secret.write(secrets.token_bytes(32))


def serve(settings: SuperLinkSettings) -> None:
    """Runs SuperLink until the process is told to stop."""
    lean.slim_down()
    os.umask(0o077)
    os.environ["FLWR_HOME"] = str(settings.directory / "flwr")
    sys.argv = [
        "flower-superlink",
        "--host=127.0.0.1",
        f"--port={settings.port}",
        f"--ssl-ca-certfile={settings.ca_certificate}",
        f"--ssl-certfile={settings.certificate}",
        f"--ssl-keyfile={settings.key}",
        "--enable-supernode-auth",
        "--isolation=process",
        f"--superexec-auth-secret-file={settings.secret}",
        f"--database={settings.directory / DATABASE_FILE}",
        "--disable-runtime-dependency-installation",
    ]
    flower_superlink()
