"""Making a new node: its directory, an empty case store, settings and key files.

Guarantees: nothing that exists is overwritten; key files lie outside the directory. The new node permits
nothing: it has no policy.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.keys import NodeKeys, write_key_file
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node import key_source
from safeborders_fed.node.key_source import Wanted
from safeborders_fed.node.settings import SETTINGS_FILE, NodeSettings, check_outside
from safeborders_fed.node.settings_text import TEMPLATE, protection_text, quoted
from safeborders_fed.study.key_files import new_transport_key, save_key, save_transport_key


def create_node(
    home: Path, country: str, key_file: Path, max_victims: int, wanted: Wanted | None = None
) -> NodeSettings:
    """Make a new node: its directory, an empty case store, ``node.toml`` and the three key files.

    Args:
        home: The new directory.
        country: The member state.
        key_file: A new file for the secrets; the two other key files go beside it.
        max_victims: Public cap on the number of victims.
        wanted: What the file of secrets is to be under; None for nothing but its mode.

    Raises:
        ConfigurationError: ``unknown-country``, ``node-exists``, ``key-file-inside-home``,
            ``key-file-exists``, ``node-unwritable``, or as ``key_source.content``. Nothing that exists is
            overwritten.
    """
    if country not in STATES:
        raise ConfigurationError(
            "unknown-country",
            f"{country!r} is not a state of the federation",
            f"give one of {' '.join(STATES)}",
        )
    home, key_file = Path(home).absolute(), Path(key_file).absolute()
    check_outside(key_file, home)
    wanted, keys = wanted or Wanted(), NodeKeys.generate()
    content = key_source.content(keys, wanted)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(home.iterdir()):
            raise ConfigurationError(
                "node-exists", f"{home} is not empty", "choose a new directory for the node"
            )
        write_key_file(key_file, content)
        signing_key_file = key_file.with_name(f"{key_file.name}.signing")
        save_key(Ed25519PrivateKey.generate(), signing_key_file)
        transport_key_file = key_file.with_name(f"{key_file.name}.transport")
        save_transport_key(new_transport_key(), transport_key_file)
        CaseStore.create(home / "store", keys, max_victims)
        text = TEMPLATE.format(
            country=country,
            key_file=quoted(key_file),
            signing_key_file=quoted(signing_key_file),
            transport_key_file=quoted(transport_key_file),
            protection=protection_text(wanted.protection, wanted.passphrase_file),
        )
        with (home / SETTINGS_FILE).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            "node-unwritable",
            f"no node can be made in {home}: {error.strerror}",
            "choose a directory that this user may write to",
        ) from error
    return NodeSettings.load(home)
