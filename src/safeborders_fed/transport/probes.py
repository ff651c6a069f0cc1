"""What a doctor asks a network: names, ports, TLS, and a few HTTP requests without a body that matters.

Guarantees: everything ends within a deadline, also name resolution and a server that sends a byte a second.
Certificates are judged by the pinned authority alone; where that fails the certificate is fetched once more
to say why, and nothing is sent over that connection. No key is used.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

from cryptography import x509

_LEAST: Final = 0.05
_LONGEST_TEXT: Final = 200
_LISTENING: Final = "0A"
_T = TypeVar("_T")

WHY: Final = {
    7: "it is not signed by the pinned authority",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself, not by the pinned authority",
    19: "it is not signed by the pinned authority",
    20: "it is not signed by the pinned authority",
    21: "it is not signed by the pinned authority",
    62: "it is for another name",
    64: "it is for another address",
}
"""OpenSSL's verification codes in words."""
UNSEEN_CLOCK: Final = frozenset({9, 10})
"""Codes that a wrong clock on this machine gives too."""


class Deadline:
    """A point in time that several steps share.

    Args:
        seconds: From now.
        clock: Gives seconds (tests inject it).
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds left, never quite 0, so that it can be a socket's timeout."""
        return max(self._end - self._clock(), _LEAST)


def within(deadline: Deadline, call: Callable[[], _T]) -> _T:
    """The result of a call that may hang where no timeout reaches, as name resolution does.

    Raises:
        TimeoutError: it took longer; its thread is left behind and ends with the process.
        Exception: what the call raised.
    """
    future: Future[_T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - it is raised again where the result is asked for
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future.result(timeout=deadline.left())


def resolve(host: str, port: int, deadline: Deadline) -> list[str]:
    """The addresses of a name, in the order in which they would be tried.

    Raises:
        OSError: it has none.
        TimeoutError: no answer.
    """
    found = within(deadline, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(addresses: list[str], port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first address that takes it; each gets its share of the time.

    Raises:
        OSError: none does; of several errors, the last.
    """
    problem: OSError = TimeoutError()
    for left in range(len(addresses), 0, -1):
        address = addresses[-left]
        try:
            return socket.create_connection((address, port), timeout=deadline.left() / left)
        except OSError as error:
            problem = error
    raise problem


@dataclass(frozen=True)
class Endpoint:
    """A TLS server.

    Attributes:
        addresses: Where it is.
        port: Its port.
        host: The name that its certificate must hold.
        authority: PEM of the only authority that counts.
    """

    addresses: tuple[str, ...]
    port: int
    host: str
    authority: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server showed.

    Attributes:
        version: Of TLS, as OpenSSL names it; empty if there was no handshake.
        until: The end of its certificate, UTC.
        begin: Its beginning.
        issuer: Who signed it.
        code: OpenSSL's verification code; 0 when the pinned authority signed it for this name.
        reason: That code in words.
    """

    version: str
    until: datetime | None
    begin: datetime | None
    issuer: str
    code: int = 0
    reason: str = ""


def handshake(endpoint: Endpoint, deadline: Deadline) -> Shown:
    """A TLS handshake, and what came of it.

    Raises:
        OSError: no connection, or what answers does not speak TLS.
    """
    return within(deadline, lambda: _handshake(endpoint, deadline))


def _handshake(endpoint: Endpoint, deadline: Deadline) -> Shown:
    try:
        with _tls(endpoint, _pinned(endpoint.authority), deadline) as connection:
            return _shown(connection)
    except ssl.SSLCertVerificationError as error:
        code = error.verify_code
        reason = WHY.get(code, error.verify_message)
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # to look at it: nothing is sent
    with _tls(endpoint, blind, deadline) as connection:
        seen = _shown(connection)
    return Shown(seen.version, seen.until, seen.begin, seen.issuer, code, reason)


def _pinned(authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority)
    return context


def _tls(endpoint: Endpoint, context: ssl.SSLContext, deadline: Deadline) -> ssl.SSLSocket:
    plain = connect(list(endpoint.addresses), endpoint.port, deadline)
    try:
        plain.settimeout(deadline.left())
        return context.wrap_socket(plain, server_hostname=endpoint.host)
    except BaseException:
        plain.close()
        raise


def _shown(connection: ssl.SSLSocket) -> Shown:
    data = connection.getpeercert(binary_form=True)
    if data is None:
        return Shown(connection.version() or "", None, None, "")
    found = x509.load_der_x509_certificate(data)
    issuer = found.issuer.rfc4514_string()[:_LONGEST_TEXT]
    return Shown(connection.version() or "", found.not_valid_after_utc, found.not_valid_before_utc, issuer)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of a request.

    Attributes:
        status: Its status code.
        date: The server's clock, to the second; None if it did not say.
        ahead: Seconds by which this machine's clock is ahead of the server's.
        accuracy: How far that may be wrong, seconds.
    """

    status: int
    date: datetime | None
    ahead: float
    accuracy: float


def ask(
    endpoint: Endpoint,
    method: str,
    path: str,
    deadline: Deadline,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Answer:
    """One request with an empty body, to a server that the pinned authority vouches for.

    Args:
        endpoint: The server.
        method: Of HTTP.
        path: On the server.
        deadline: When to give up.
        clock: This machine's (tests inject it).

    Raises:
        OSError: no answer, or not from that server.
    """
    return within(deadline, lambda: _ask(endpoint, method, path, deadline, clock))


def _ask(
    endpoint: Endpoint, method: str, path: str, deadline: Deadline, clock: Callable[[], datetime]
) -> Answer:
    client = http.client.HTTPConnection(endpoint.host, endpoint.port)
    with contextlib.closing(client):
        client.sock = _tls(endpoint, _pinned(endpoint.authority), deadline)
        sent = clock()
        try:
            client.request(method, path, headers={"content-length": "0"} if method == "POST" else {})
            response = client.getresponse()
        except http.client.HTTPException as error:
            raise OSError(f"it does not speak HTTP ({type(error).__name__})") from error
        received = clock()
        date = _date(response.getheader("date"))
    if date is None:
        return Answer(response.status, None, 0.0, 0.0)
    # The header is cut to whole seconds, and servers renew it once a second: it is 0 to 2 seconds old.
    middle = sent + (received - sent) / 2
    ahead = (middle - date).total_seconds() - 1.0
    return Answer(response.status, date, ahead, 1.0 + (received - sent).total_seconds() / 2)


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def listeners(table: str, port: int) -> list[str]:
    """The addresses at which a port is listened to on this machine.

    Args:
        table: Text of ``/proc/net/tcp`` or ``/proc/net/tcp6``.
        port: The port.
    """
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or fields[3] != _LISTENING:
            continue
        address, _, number = fields[1].rpartition(":")
        if int(number, 16) == port:
            found.append(str(_kernel_address(address)))
    return found


def _kernel_address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel prints each 32 bits in the machine's own byte order."""
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(packed) == 4:
        return ipaddress.IPv4Address(packed)
    address = ipaddress.IPv6Address(packed)
    return address.ipv4_mapped or address
