"""The hook to a key service (KMS, HSM, vault): a command of the operator that unwraps one key.

The environment variable ``SAFEBORDERS_KMS_COMMAND`` holds the absolute path of a program, and nothing else.
It is run without a shell and without arguments, gets the wrapped key on its standard input, and writes the
key, 32 bytes and no more, to its standard output within 30 seconds. Exit code 0 says that it did.

Guarantees: the program is refused if others than its owner or root may change it; a hook that hangs is ended
with all that it started; more output than a key is never read; what it says on its standard error goes
nowhere (it may hold secrets; the hook keeps its own log); whatever it does wrong is an error with a code.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Final

from safeborders_fed.cases.keys import KEY_BYTES
from safeborders_fed.errors import ConfigurationError

VARIABLE: Final = "SAFEBORDERS_KMS_COMMAND"
SECONDS: Final = 30.0


def unwrapped(wrapped: bytes, seconds: float = SECONDS) -> bytes:
    """The key that the service unwraps.

    Args:
        wrapped: At most ``wrapping.LARGEST_WRAPPED_KEY`` bytes.
        seconds: How long the hook may take.

    Raises:
        ConfigurationError: ``kms-command-missing``, ``kms-command-exposed``, ``kms-timeout``, ``kms-failed``
            or ``kms-bad-key``.
    """
    command = _command()
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own program, without a shell
            [str(command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise _missing(f"{command} cannot be run: {error.strerror}") from error
    try:
        key, code = _answer(process, wrapped, time.monotonic() + seconds)
    except TimeoutError:
        raise ConfigurationError(
            "kms-timeout",
            f"{command} did not end within {seconds:g} seconds",
            "run it by hand and see what it waits for; the key service may be away",
        ) from None
    finally:
        _end(process)
    if code != 0:
        raise ConfigurationError(
            "kms-failed",
            f"{command} ended with exit code {code}",
            "run it by hand as the node's user, and see what it says; the key service may have refused",
        )
    if len(key) != KEY_BYTES:
        size = "more than" if len(key) > KEY_BYTES else f"{len(key)} bytes, not"
        raise ConfigurationError(
            "kms-bad-key",
            f"{command} wrote {size} {KEY_BYTES} bytes",
            "let it write the key alone: raw bytes, not text, and no line end",
        )
    return key


def _answer(process: subprocess.Popen[bytes], wrapped: bytes, end: float) -> tuple[bytes, int]:
    """What the hook wrote, one byte more than a key at most, and its exit code. Raises TimeoutError."""
    if process.stdin is None or process.stdout is None:
        return b"", 1
    with contextlib.suppress(BrokenPipeError):  # it need not read
        process.stdin.write(wrapped)
        process.stdin.close()
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= KEY_BYTES:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            part = os.read(process.stdout.fileno(), KEY_BYTES + 1 - len(output))
            if not part:
                break
            output += part
    if len(output) > KEY_BYTES:
        return output, 0  # too long: its end is not waited for
    try:
        return output, process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the hook and whatever it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _command() -> Path:
    value = os.environ.get(VARIABLE, "")
    if not value:
        raise _missing(f"node.toml says key_protection = 'kms', and {VARIABLE} is not set")
    command = Path(value)
    if not command.is_absolute():
        raise _missing(f"{VARIABLE} is no absolute path")
    try:
        status = command.stat()
    except OSError as error:
        raise _missing(f"{command} cannot be run: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or not os.access(command, os.X_OK):
        raise _missing(f"{command} is no program that this user may run")
    if status.st_mode & 0o022 or status.st_uid not in {0, os.geteuid()}:
        raise ConfigurationError(
            "kms-command-exposed",
            f"{command} can be changed by others than root and this user",
            f"run `chmod go-w {command}`, let it belong to root, and look at what it does",
        )
    return command


def _missing(why: str) -> ConfigurationError:
    return ConfigurationError(
        "kms-command-missing",
        why,
        f"set {VARIABLE} to the absolute path of the hook, also in the unit of the service",
    )
