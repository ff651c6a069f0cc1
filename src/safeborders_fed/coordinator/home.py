"""A coordinator's home directory, and the people who sign for it.

Layout of the directory::

    coordinator.toml    settings, operators and service keys; no secret
    service-keys.json   the operators' word for the service keys (``service_key``)
    audit.jsonl         what was done (``recording``)
    models/             candidates, and the signatures gathered so far
    released/           what is handed out to nodes
    pki/                certificates (``pki``)
    members/ rosters/   who is enrolled (``enrolment``)

Guarantees: settings that exist are complete and of the right types; unknown keys are refused; nobody and no
key is enrolled twice; an operator's key and the service key lie outside the home directory, so that a copy of
the directory signs nothing.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic import Field as Limit

from safeborders_fed.audit.chain import Operation
from safeborders_fed.coordinator import recording, service_key
from safeborders_fed.coordinator.network import DEADLINE, Network, NetworkTable, RoundsTable
from safeborders_fed.coordinator.service_key import ServiceKeyFile
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study import durable
from safeborders_fed.study.key_files import save_key
from safeborders_fed.study.roster import PublicKey

SETTINGS_FILE: Final = "coordinator.toml"
NEEDED: Final = 2
_TEMPLATE: Final = """\
# Settings of the coordinator. This file holds no secret.

# How many different operators must sign a model before it is handed out. Two is four eyes.
release_signatures = {signatures}

# The operators. Each keeps the key file on a medium of their own; `safeborders coordinator operator add`
# enrols a further one. Nodes pin these public keys in node.toml after comparing them in person.
"""


def _printable(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name is printable text without white space at its ends")
    return name


PersonName = Annotated[str, Limit(min_length=1, max_length=200), AfterValidator(_printable)]


class Operator(BaseModel):
    """A person who signs for the coordinator."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: PersonName
    public: PublicKey


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    release_signatures: int = Limit(ge=1, le=16)
    operators: Annotated[tuple[Operator, ...], Limit(strict=False, min_length=1, max_length=16)]
    service_keys: Annotated[tuple[ServiceKeyFile, ...], Limit(strict=False, max_length=16)] = ()
    network: NetworkTable | None = None
    rounds: RoundsTable = RoundsTable()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for what in ("name", "public"):
            values = [getattr(operator, what) for operator in self.operators]
            if len(set(values)) != len(values):
                raise ValueError(f"two operators have the same {what}")
        serving = {key.public for key in self.service_keys}
        if len(serving) != len(self.service_keys) or serving & {entry.public for entry in self.operators}:
            raise ValueError("a service key is named twice, or is an operator's")
        return self


@dataclass(frozen=True)
class CoordinatorHome:
    """A coordinator's directory with its settings.

    Attributes:
        path: The directory.
        operators: The people who sign, in the order of their enrolment.
        release_signatures: How many of them must sign a release.
        deadline_seconds: How long a round waits for a node.
        reached_at: Where nodes reach it; None in a coordinator that only looks after models.
        service_keys: Where its service keys are, the one in use last.
    """

    path: Path
    operators: tuple[Operator, ...]
    release_signatures: int
    deadline_seconds: float = DEADLINE
    reached_at: Network | None = None
    service_keys: tuple[ServiceKeyFile, ...] = ()

    def service_key(self) -> Ed25519PrivateKey:
        """The key with which this installation signs by itself. Raises as ``service_key.load``."""
        return service_key.load(self.path, self.service_keys)

    @property
    def network(self) -> Network:
        """Where nodes reach it.

        Raises:
            ConfigurationError: ``no-network``.
        """
        if self.reached_at is None:
            raise ConfigurationError(
                "no-network",
                f"{self.path / SETTINGS_FILE} has no [network], so no node can reach this coordinator",
                "run `safeborders coordinator network --address HOST:PORT --ca-key-file FILE`",
            )
        return self.reached_at

    @property
    def models(self) -> Path:
        """Where candidates are."""
        return self.path / "models"

    @property
    def released(self) -> Path:
        """Where files for nodes are."""
        return self.path / "released"

    @classmethod
    def load(cls, path: Path) -> CoordinatorHome:
        """Read ``coordinator.toml``.

        Raises:
            ConfigurationError: ``settings-missing`` or ``settings-invalid``.
        """
        file = Path(path) / SETTINGS_FILE
        return cls.of(Path(path), _read(file))

    @classmethod
    def of(cls, path: Path, text: str) -> CoordinatorHome:
        """The coordinator with this text as its settings.

        Raises:
            ConfigurationError: ``settings-invalid``.
        """
        file = path / SETTINGS_FILE
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(
                "settings-invalid", f"{file} is not TOML: {error}", "mend the line named"
            ) from error
        settings = _checked(table, str(file))
        return cls(
            path,
            settings.operators,
            settings.release_signatures,
            settings.rounds.deadline_seconds,
            None if settings.network is None else Network.of(settings.network),
            settings.service_keys,
        )

    def with_lines(self, text: str) -> CoordinatorHome:
        """What the coordinator would be with more lines at the end of its settings.

        Raises:
            ConfigurationError: ``settings-invalid`` or ``settings-missing``.
        """
        return CoordinatorHome.of(self.path, _read(self.path / SETTINGS_FILE) + text)

    def require_operator(self, name: str, key: Ed25519PrivateKey) -> Operator:
        """The operator of this name, whose key this is.

        Raises:
            RefusedError: ``not-an-operator`` or ``not-your-key``.
        """
        operator = next((entry for entry in self.operators if entry.name == name), None)
        if operator is None:
            raise RefusedError(
                "not-an-operator",
                f"nobody called {name!r} is enrolled as an operator here",
                f"give one of {', '.join(entry.name for entry in self.operators)}",
            )
        if operator.public != public_hex(key):
            raise RefusedError(
                "not-your-key",
                f"the key file is not the one that {name} was enrolled with",
                "give your own key file",
            )
        return operator


def _checked(table: dict[str, Any], where: str) -> _Settings:
    try:
        return _Settings.model_validate(table)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        key = ".".join(map(str, mistake["loc"]))
        raise ConfigurationError(
            "settings-invalid",
            f"{where}: {key}: {mistake['msg'].removeprefix('Value error, ')}",
            "mend that key; `safeborders coordinator init` writes a file with all of them",
        ) from error


def create_home(
    path: Path,
    *,
    operator: str,
    key_file: Path,
    release_signatures: int = NEEDED,
    service_key_file: Path | None = None,
) -> CoordinatorHome:
    """Make a new coordinator: its directory, the key of its first operator, and its service key.

    Args:
        path: A new or empty directory.
        operator: Name of the first operator.
        key_file: A new file for their key, outside the directory.
        release_signatures: How many operators must sign a release.
        service_key_file: A new file for the service key, outside the directory; by default beside it.

    Raises:
        ConfigurationError: ``coordinator-exists``, ``settings-invalid``, ``key-file-inside-home``,
            ``key-file-exists``, ``coordinator-unwritable``. Nothing that exists is overwritten.
    """
    path = Path(path)
    serving = service_key.beside(path) if service_key_file is None else Path(service_key_file).absolute()
    for file in (Path(key_file), serving):
        check_outside(file, path)
    key = Ed25519PrivateKey.generate()
    first = {"name": operator, "public": public_hex(key)}
    _checked({"release_signatures": release_signatures, "operators": [first]}, SETTINGS_FILE)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ConfigurationError(
                "coordinator-exists", f"{path} is not empty", "choose a new directory for the coordinator"
            )
        service_key.require_absent(serving)
        save_key(key, Path(key_file))
        entry = service_key.create(path, serving, by=operator, operator=key)
        for part in ("models", "released"):
            (path / part).mkdir(mode=0o700)
        text = _TEMPLATE.format(signatures=release_signatures) + _entry(first) + entry.to_toml()
        with (path / SETTINGS_FILE).open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise ConfigurationError(
            "coordinator-unwritable",
            f"no coordinator can be made in {path}: {error.strerror}",
            "choose a directory that this user may write to",
        ) from error
    made = CoordinatorHome.load(path)
    facts = {"operator": first["public"], "service_key": entry.public}
    recording.record(made, Operation.KEY_CHANGE, who=operator, why="the coordinator was made", details=facts)
    return made


def add_operator(home: CoordinatorHome, name: str, key_file: Path) -> Operator:
    """Enrol a further person, with a key of their own in a new file.

    Raises:
        ConfigurationError: ``settings-invalid`` (a name that is enrolled already, or is no name),
            ``key-file-inside-home``, ``key-file-exists``, ``key-file-unwritable``,
            ``coordinator-unwritable``.
    """
    check_outside(Path(key_file), home.path)
    key = Ed25519PrivateKey.generate()
    entry = _entry({"name": name, "public": public_hex(key)})
    home.with_lines(entry)
    facts = {"operator": public_hex(key), "name": name}
    recording.note(home, Operation.KEY_CHANGE, who=name, why="an operator is enrolled", details=facts)
    save_key(key, Path(key_file))
    added = append_settings(home, entry)
    recording.log(added)
    return added.operators[-1]


def append_settings(home: CoordinatorHome, text: str) -> CoordinatorHome:
    """Adds lines to the end of a coordinator's settings, or changes nothing.

    Raises:
        ConfigurationError: ``settings-invalid``, ``settings-missing`` or ``coordinator-unwritable``.
    """
    file = home.path / SETTINGS_FILE
    changed = home.with_lines(text)
    try:
        durable.replace(file, (_read(file) + text).encode("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "coordinator-unwritable",
            f"{file} cannot be written: {error.strerror}",
            "free space on the disk, or mend the rights of the file, then begin again with new key files",
        ) from error
    return changed


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            "settings-missing",
            f"{file} cannot be read: {why}",
            "give the directory that `safeborders coordinator init` made",
        ) from error


def _entry(operator: dict[str, str]) -> str:
    # A JSON text of printable characters is a TOML text.
    name = json.dumps(operator["name"], ensure_ascii=False)
    return f'\n[[operators]]\nname = {name}\npublic = "{operator["public"]}"\n'


def check_outside(key_file: Path, home: Path) -> None:
    """Refuse a key file that would be copied together with the directory.

    Raises:
        ConfigurationError: ``key-file-inside-home``.
    """
    if key_file.resolve().is_relative_to(home.resolve()):
        raise ConfigurationError(
            "key-file-inside-home",
            f"the key file {key_file} lies inside the coordinator's directory {home}",
            "choose a path elsewhere, best on a medium of your own",
        )
