"""The kill switch of links at a node: one file, looked at before every answer.

Guarantees: ``off`` takes effect at the next message, though the service runs, and until somebody says ``on``.
It fails closed: if it cannot be seen whether the file is there, links are off. Each turn is in the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.links.epoch_keys import unwritable
from safeborders_fed.node.link_vault import DIRECTORY
from safeborders_fed.study import canonical, durable

FILE: Final = "off.json"


@dataclass(frozen=True)
class Switch:
    """The switch of the node in a directory."""

    home: Path

    @property
    def path(self) -> Path:
        """The file that says off."""
        return self.home / DIRECTORY / FILE

    def is_on(self) -> bool:
        """Whether the node takes part in links."""
        try:
            self.path.lstat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def require_on(self) -> None:
        """Raises RefusedError ``link-off`` unless the node takes part in links."""
        if not self.is_on():
            raise RefusedError(
                "link-off",
                "links are switched off at this node",
                "see `safeborders node links status`; `safeborders node links on` takes them up again",
            )

    def turn_off(self, who: str, reason: str, at: datetime) -> None:
        """Switches links off.

        Raises:
            UsageError: ``reason-missing``.
            ConfigurationError: ``links-unwritable``.
        """
        content = canonical.serialise({"who": who, "reason": checked(reason), "at": at.isoformat()})
        try:
            durable.make_directories(self.path.parent)
            durable.replace(self.path, content)
        except OSError as error:
            raise unwritable(error) from error

    def turn_on(self, reason: str) -> None:
        """Takes links up again. Raises as ``turn_off``."""
        checked(reason)
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(error) from error

    def said(self) -> str:
        """Who switched links off, when and why; empty while they are on."""
        if self.is_on():
            return ""
        try:
            content = canonical.parse(self.path.read_bytes())
            return f"{content['who']} on {content['at'][:16]}: {content['reason']}"
        except Exception:  # noqa: BLE001 - whatever is wrong with it, links are off
            return "the file of the switch cannot be read"


def checked(reason: str) -> str:
    """A reason that can stand in the audit log. Raises UsageError ``reason-missing``."""
    if not reason.strip() or not reason.isprintable() or len(reason) > 1000:
        raise UsageError(
            "reason-missing",
            "a reason has up to 1,000 characters that can be printed",
            "give it with --reason",
        )
    return reason
