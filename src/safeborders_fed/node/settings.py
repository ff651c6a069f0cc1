"""Settings of a node: ``node.toml`` in its home directory.

Guarantees: settings that exist are complete and of the right types; unknown keys are refused; the key file
lies outside the home directory, so that a copy of the directory opens nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import Policy

SETTINGS_FILE: Final = "node.toml"
LEDGER_FILE: Final = "ledger.sqlite"
_TEMPLATE: Final = """\
# Settings of one node. Keep this file with the node; it holds no secret.

# The member state whose case data this node serves (ISO 3166-1 alpha-2).
country = "{country}"

# The file with the node's secrets: outside this directory, readable by the node's user only (mode 600).
# Back it up apart from the data: without it the case store cannot be opened by anybody.
key_file = {key_file}

# The directory of the encrypted case store, relative to this file.
store = "store"

# What this node permits. Without a policy it takes part in nothing: remove the marks and set each value.
# [policy]
# analyses = ["logistic", "trends"]
# columns = ["age_band", "sex", "registration_date", "forms_of_exploitation", "trafficking_status"]
# epsilon_per_study = 1.0
# epsilon_per_year = 2.0
# epsilon_lifetime = 8.0
# delta = 1e-6
# minimum_participants = 5
"""


def _state(country: str) -> str:
    if country not in STATES:
        raise ValueError(f"{country!r} is not one of {' '.join(STATES)}")
    return country


Country = Annotated[str, AfterValidator(_state)]


class NodeSettings(BaseModel):
    """What ``node.toml`` says.

    Attributes:
        home: The directory that holds ``node.toml``.
        country: The member state of the node.
        key_file: Where its secrets are; absolute, or relative to ``home``.
        store: Where its case store is, relative to ``home``.
        policy: What it permits; without one it takes part in nothing.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    home: Path
    country: Country
    key_file: Annotated[Path, Field(strict=False)]
    store: Annotated[Path, Field(strict=False)]
    policy: Policy | None = None

    @classmethod
    def load(cls, home: Path) -> NodeSettings:
        """Read ``node.toml``.

        Raises:
            ConfigurationError: ``settings-missing``, ``settings-invalid``, ``key-file-inside-home``.
        """
        path = Path(home) / SETTINGS_FILE
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(
                "settings-missing",
                f"{path} cannot be read: {error.strerror}",
                "give the directory that `safeborders node init` made",
            ) from error
        except ValueError as error:
            raise ConfigurationError(
                "settings-invalid", f"{path} is not TOML: {error}", "mend the line named"
            ) from error
        try:
            settings = cls(**{**table, "home": Path(home)})
        except ValidationError as error:
            mistake = error.errors(include_url=False)[0]
            key = ".".join(map(str, mistake["loc"]))
            raise ConfigurationError(
                "settings-invalid",
                f"{path}: {key}: {mistake['msg'].removeprefix('Value error, ')}",
                "mend that key; `safeborders node init` writes a file with all of them",
            ) from error
        check_outside(settings.key_path, settings.home)
        return settings

    @property
    def key_path(self) -> Path:
        """Where the key file is."""
        return self.home / self.key_file

    @property
    def store_path(self) -> Path:
        """Where the case store is."""
        return self.home / self.store

    def open_store(self) -> CaseStore:
        """The node's case store, opened with its keys. Raises as NodeKeys.load and CaseStore.open."""
        return CaseStore.open(self.store_path, NodeKeys.load(self.key_path))

    def open_participant(self) -> Participant:
        """The node, ready to take part in studies.

        Raises:
            ConfigurationError: ``no-policy``; or as NodeKeys.load, CaseStore.open and Ledger.
        """
        if self.policy is None:
            raise ConfigurationError(
                "no-policy",
                f"{self.home / SETTINGS_FILE} has no [policy]",
                "decide what this node permits and write it there; nothing is permitted by default",
            )
        ledger = Ledger(self.home / LEDGER_FILE, self.policy.caps())
        return Participant(node=self.country, store=self.open_store(), ledger=ledger, policy=self.policy)


def check_outside(key_file: Path, home: Path) -> None:
    """Refuse a key file that would be copied together with the data it opens.

    Raises:
        ConfigurationError: ``key-file-inside-home``.
    """
    if key_file.resolve().is_relative_to(home.resolve()):
        raise ConfigurationError(
            "key-file-inside-home",
            f"the key file {key_file} lies inside the node's directory {home}",
            "choose a path elsewhere, best on a medium of its own, so that a copied disk opens nothing",
        )


def create_node(home: Path, country: str, key_file: Path, max_victims: int) -> NodeSettings:
    """Make a new node: its directory, an empty case store, ``node.toml`` and the key file.

    Raises:
        ConfigurationError: ``unknown-country``, ``node-exists``, ``key-file-inside-home``,
            ``key-file-exists``, ``node-unwritable``. Nothing that exists is overwritten.
    """
    if country not in STATES:
        raise ConfigurationError(
            "unknown-country",
            f"{country!r} is not a state of the federation",
            f"give one of {' '.join(STATES)}",
        )
    home, key_file = Path(home).absolute(), Path(key_file).absolute()
    check_outside(key_file, home)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(home.iterdir()):
            raise ConfigurationError(
                "node-exists", f"{home} is not empty", "choose a new directory for the node"
            )
        keys = NodeKeys.generate()
        keys.save(key_file)
        CaseStore.create(home / "store", keys, max_victims)
        quoted = '"' + str(key_file).replace("\\", "\\\\").replace('"', '\\"') + '"'
        text = _TEMPLATE.format(country=country, key_file=quoted)
        with (home / SETTINGS_FILE).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            "node-unwritable",
            f"no node can be made in {home}: {error.strerror}",
            "choose a directory that this user may write to",
        ) from error
    return NodeSettings.load(home)
