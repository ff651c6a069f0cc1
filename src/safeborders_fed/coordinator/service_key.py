"""The key with which the coordinator's installation signs by itself, and the operators' word for it.

Layout::

    coordinator.toml       [[service_keys]]: path and public half of each key; the last one is in use
    service-keys.json      certificates: an operator's signature over each public half

Guarantees: the key lies outside the coordinator's directory, mode 600, and is never shown, so a copy of the
directory signs nothing. It signs changes of state and the coordinator's audit log, and nothing that an
operator must sign (manifests, rosters, bundles, models): who steals it can lie about how far a study is, and
cannot publish one. Nothing is signed with a key that ``coordinator.toml`` does not name.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.key_files import load_key, located, save_key
from safeborders_fed.study.roster import PublicKey
from safeborders_fed.study.state_changes import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Sequence

CERTIFICATES: Final = "service-keys.json"
_SUFFIX: Final = ".service-key"


class ServiceKeyFile(BaseModel):
    """Where a service key is, and its public half."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    key_file: Annotated[Path, Limit(strict=False)]
    public: PublicKey

    def to_toml(self) -> str:
        """The lines that name it in ``coordinator.toml``."""
        # A JSON text of printable characters is a TOML text.
        path = json.dumps(str(self.key_file), ensure_ascii=False)
        return f'\n[[service_keys]]\nkey_file = {path}\npublic = "{self.public}"\n'


def beside(home: Path) -> Path:
    """Where the key of a coordinator is unless somebody says otherwise: beside its directory, not in it."""
    home = home.absolute()
    return home.with_name(f"{home.name}{_SUFFIX}")


def create(home: Path, key_file: Path, *, by: str, operator: Ed25519PrivateKey) -> ServiceKeyFile:
    """Makes a key in a new file, and its certificate; what the settings must name before it is used.

    Raises:
        ConfigurationError: ``bad-service-keys``, ``key-file-exists`` or ``key-file-unwritable``.
        OSError: when the directory cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    entry = ServiceKeyFile(key_file=key_file.absolute(), public=public_hex(key))
    save_key(key, key_file)
    keep(home, ServiceKey.certify(entry.public, by=by, operator=operator, at=datetime.now(UTC)))
    return entry


def require_absent(key_file: Path) -> None:
    """Raises ConfigurationError ``key-file-exists`` when there is a file already."""
    if key_file.exists():
        raise ConfigurationError(
            "key-file-exists",
            f"the key file {key_file} exists already",
            "choose another path with --service-key-file; keys are not replaced",
        )


def load(home: Path, known: Sequence[ServiceKeyFile]) -> Ed25519PrivateKey:
    """The service key in use.

    Args:
        home: The coordinator's directory.
        known: What its settings name.

    Raises:
        ConfigurationError: ``no-service-key``, ``another-service-key``, or as ``load_key``.
    """
    if not known:
        raise ConfigurationError(
            "no-service-key",
            f"the coordinator in {home} was made before it signed what becomes of its studies, and has no "
            "key for that",
            "run `safeborders coordinator service-key --by NAME --key-file FILE` with an operator's key",
        )
    entry = known[-1]
    key = load_key(located(home / entry.key_file))
    if public_hex(key) != entry.public:
        raise ConfigurationError(
            "another-service-key",
            f"{entry.key_file} does not hold the service key that coordinator.toml names",
            "restore the file from its backup, or make a new key with `safeborders coordinator service-key`",
        )
    return key


def certificates(home: Path) -> tuple[ServiceKey, ...]:
    """All certificates of service keys, in the order of their making.

    Raises:
        ConfigurationError: ``bad-service-keys``.
    """
    path = home / CERTIFICATES
    try:
        entries = canonical.parse(path.read_bytes()) if path.exists() else []
        return tuple(ServiceKey.model_validate_json(canonical.serialise(entry)) for entry in entries)
    except (OSError, PeerError, ValidationError, TypeError) as error:
        raise ConfigurationError(
            "bad-service-keys",
            f"{path} is damaged",
            "restore it from backup, or remove it and run `safeborders coordinator service-key`",
        ) from error


def keep(home: Path, certificate: ServiceKey) -> None:
    """Adds a certificate; the same operator's earlier one for the same key gives way.

    Raises:
        ConfigurationError: ``bad-service-keys``.
        OSError: when the directory cannot be written.
    """
    which = (certificate.public, certificate.operator)
    others = [entry for entry in certificates(home) if (entry.public, entry.operator) != which]
    content = [entry.model_dump(mode="json") for entry in (*others, certificate)]
    durable.replace(home / CERTIFICATES, canonical.serialise(content))
