"""How a command gets a passphrase: typed at a terminal, or from a file; never from the command line.

Guarantees: without a terminal nothing prompts, and the passphrase stands in no message.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File with the passphrase, where there is no terminal to ask at."),
]


def passphrase(file: Path | None, *, twice: bool = False) -> str:
    """The passphrase of an approver's key.

    Args:
        file: Where it stands; None to ask for it.
        twice: Ask again, for a new key.

    Raises:
        ConfigurationError: ``passphrase-unreadable``.
        UsageError: ``no-terminal`` or ``passphrases-differ``.
    """
    import getpass
    import sys

    from safeborders_fed.errors import ConfigurationError, UsageError

    if file is not None:
        try:
            return file.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigurationError(
                "passphrase-unreadable", f"{file} cannot be read: {why}", "check the path"
            ) from error
    if not sys.stdin.isatty():
        raise UsageError(
            "no-terminal", "there is no terminal to ask for the passphrase", "use --passphrase-file"
        )
    typed = getpass.getpass("Passphrase of your approver key: ")
    if twice and getpass.getpass("The same again: ") != typed:
        raise UsageError("passphrases-differ", "the two passphrases differ", "try again")
    return typed
