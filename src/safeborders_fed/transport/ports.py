"""Whether a service can listen where its settings say, before it starts anything there.

Guarantees: nothing is sent, and nobody can connect: the port is bound and let go of at once.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from typing import Final

from safeborders_fed.errors import ConfigurationError

_LOOKS: Final = 20
_PAUSE: Final = 0.25
"""Five seconds in all: processes of a service that was killed may still be letting go of the port."""


def require_free(host: str, port: int, setting: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Waits a little for a port to be free.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        setting: What names it in [network] of coordinator.toml.
        sleep: Waits for so many seconds.

    Raises:
        ConfigurationError: ``port-taken`` or ``cannot-listen``.
    """
    for _ in range(_LOOKS):
        problem = _bind(host, port)
        if problem is None:
            return
        if problem.errno != errno.EADDRINUSE:
            raise ConfigurationError(
                "cannot-listen",
                f"this machine cannot listen on {host}:{port}: {problem.strerror}",
                f"correct {setting} in [network] of coordinator.toml",
            ) from problem
        sleep(_PAUSE)
    raise ConfigurationError(
        "port-taken",
        f"another program listens on {host}:{port}",
        f"find it with `ss -tlnp` and stop it, or change {setting} in [network] of coordinator.toml",
    )


def _bind(host: str, port: int) -> OSError | None:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
            trial.listen(1)
    except OSError as error:
        return error
    return None
