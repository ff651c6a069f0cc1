"""The secrets of an epoch on a node's disk: made once, sealed, and destroyed when the epoch is over.

Beside the key shares stands the key under which the epoch's tokens lie in the link book.

Guarantees:

- An epoch is a calendar year (UTC). Its secrets are made in that year only, once, and lie sealed under the
  node's keys (``node.link_vault``); nothing in here writes them anywhere else.
- ``destroy`` overwrites and removes the file. Since a token needs the key share of every node (n of n),
  afterwards nobody, all other nodes together included, can make or test a token of that epoch, as long as no
  copy of the file *and* of the node's key file is left: a backup of that year opens with the key file of that
  time only, which ``safeborders node cases rekey`` replaces.
- A process that has read the secrets looks for the file each time it needs them: destroyed is destroyed,
  though the service runs. What Python may still hold in memory ends with the process.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from safeborders_fed.cases.contract import IDENTIFIER_TYPES
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.links.key_shares import NodeSecrets
from safeborders_fed.node.link_ceremony import destroyed
from safeborders_fed.node.link_tokens import TOKEN_KEY_BYTES
from safeborders_fed.node.link_vault import LinkVault


@dataclass(frozen=True)
class _Held:
    secrets: NodeSecrets = field(repr=False)
    token_key: bytes = field(repr=False)


class EpochKeys:
    """The epochs' secrets of one node.

    Args:
        vault: Seals them.
        clock: Gives the time, UTC (tests inject it).
    """

    def __init__(self, vault: LinkVault, clock: Callable[[], datetime]) -> None:
        self._vault, self._clock = vault, clock
        self._held: dict[str, _Held] = {}

    def current(self) -> str:
        """The epoch of today."""
        return f"{self._clock():%Y}"

    def require_current(self, epoch: str) -> None:
        """Raises RefusedError ``link-epoch`` for any epoch but that of today."""
        if epoch != self.current():
            raise RefusedError(
                "link-epoch",
                f"epoch {epoch} is not that of today, {self.current()}",
                "ask for identifiers anew in the epoch of today",
            )

    def make(self, epoch: str) -> NodeSecrets:
        """Makes the secrets of the epoch of today, unless they are there; those that are there.

        Raises:
            RefusedError: ``link-epoch``.
            ConfigurationError: ``links-unwritable``; or as ``secrets``.
        """
        self.require_current(epoch)
        if not self.exists(epoch):
            made = NodeSecrets.generate(IDENTIFIER_TYPES)
            content = secrets.token_bytes(TOKEN_KEY_BYTES) + made.to_bytes()
            try:
                self._vault.save(_name(epoch), content)
            except FileExistsError:  # another process was first: its secrets are the epoch's
                pass
            except OSError as error:
                raise unwritable(error) from error
        return self.secrets(epoch)

    def exists(self, epoch: str) -> bool:
        """Whether this node has secrets of an epoch."""
        return self._vault.path(_name(epoch)).exists()

    def kept(self) -> list[str]:
        """The epochs whose secrets are on the disk."""
        prefix = _name("")
        return [name.removeprefix(prefix) for name in self._vault.names() if name.startswith(prefix)]

    def secrets(self, epoch: str) -> NodeSecrets:
        """The secrets of an epoch.

        Raises:
            RefusedError: ``link-epoch``, when there are none.
            ConfigurationError: ``wrong-key``.
            DataError: ``bad-link-secrets``.
        """
        return self._of(epoch).secrets

    def token_key(self, epoch: str) -> bytes:
        """The key under which an epoch's tokens lie. Raises as ``secrets``."""
        return self._of(epoch).token_key

    def destroy(self, epoch: str) -> bool:
        """Overwrites and removes an epoch's secrets; false if they were gone.

        Raises:
            ConfigurationError: ``links-unwritable``.
        """
        self._held.pop(epoch, None)
        try:
            return self._vault.destroy(_name(epoch))
        except OSError as error:
            raise unwritable(error) from error

    def _of(self, epoch: str) -> _Held:
        if not self.exists(epoch):
            self._held.pop(epoch, None)
            raise destroyed(epoch)
        if epoch not in self._held:
            content = self._vault.load(_name(epoch))
            if content is None:
                raise destroyed(epoch)
            parts = content[:TOKEN_KEY_BYTES], content[TOKEN_KEY_BYTES:]
            self._held[epoch] = _Held(NodeSecrets.from_bytes(parts[1]), parts[0])
        return self._held[epoch]


def unwritable(error: OSError) -> ConfigurationError:
    """The error for a directory of links that takes no file."""
    return ConfigurationError(
        "links-unwritable",
        f"the node's directory for links cannot be written: {error.strerror}",
        "free space on the disk, or mend the rights of the node's directory",
    )


def _name(epoch: str) -> str:
    return f"epoch-{epoch}"
