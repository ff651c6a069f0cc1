"""Probes against real servers on loopback: good, expired, of a stranger, silent, and not there at all."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from certificates import Pki, authority
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.transport import probes
from safeborders_fed.transport.probes import Deadline, Endpoint
from safeborders_fed.transport.way import LINES, Way

SOON = 5.0


class Answers(http.server.BaseHTTPRequestHandler):
    """404 but for what the server is told to show; 401 where fleet paths are."""

    protocol_version = "HTTP/1.1"
    shows: dict[str, int] = {}  # noqa: RUF012 - replaced as a whole
    offset = timedelta(0)

    def _answer(self) -> None:
        status = type(self).shows.get(self.path, 401 if self.path == "/v1/fleet/get-run" else 404)
        self.send_response_only(status)
        self.send_header("Date", format_datetime(datetime.now(UTC) + type(self).offset, usegmt=True))
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815 - named by http.server

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    pki: Pki, handler: type[Answers] = Answers, newest: ssl.TLSVersion | None = None
) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.certificate, pki.key)
    if newest:
        context.maximum_version = newest

    class Server(http.server.ThreadingHTTPServer):
        def get_request(self) -> tuple[socket.socket, object]:
            connection, address = super().get_request()
            connection.settimeout(SOON)
            return context.wrap_socket(connection, server_side=True), address

        def handle_error(self, request: object, address: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endpoint(port: int, pki: Pki, host: str = "127.0.0.1") -> Endpoint:
    return Endpoint(("127.0.0.1",), port, host, pki.ca.read_text(encoding="ascii"))


def handler(**changes: object) -> type[Answers]:
    return type("Changed", (Answers,), changes)


def way(port: int, pki: Pki, *, seconds: float = SOON, ahead: float = 0.0) -> dict[str, str]:
    clock = lambda: datetime.now(UTC) + timedelta(seconds=ahead)  # noqa: E731
    ca = pki.ca.read_text(encoding="ascii")
    found = Way("127.0.0.1", "127.0.0.1", port, ca, Deadline(seconds), clock).findings()
    assert {finding.name for finding in found} == set(LINES)
    return {finding.name: finding.level for finding in found}


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return authority(tmp_path, days=400)


def test_a_gate_that_is_well_gives_good_lines_only(pki: Pki) -> None:
    with serving(pki) as port:
        assert set(way(port, pki).values()) == {"ok"}


def test_a_handshake_shows_version_issuer_and_end(pki: Pki) -> None:
    with serving(pki) as port:
        shown = probes.handshake(endpoint(port, pki), Deadline(SOON))
    assert (shown.version, shown.code, shown.issuer) == ("TLSv1.3", 0, "CN=test authority")
    assert shown.until is not None
    assert 398 <= (shown.until - datetime.now(UTC)).days <= 399


@pytest.mark.parametrize(("begin", "code"), [(-40, 10), (2, 9)])
def test_a_certificate_out_of_its_time_is_refused_and_described(
    tmp_path: Path, begin: int, code: int
) -> None:
    pki = authority(tmp_path, days=30, begin=begin)
    with serving(pki) as port:
        shown = probes.handshake(endpoint(port, pki), Deadline(SOON))
        assert way(port, pki) == {
            "name": "ok", "port": "ok", "tls": "failed",
            "gate": "skipped", "superlink": "skipped", "clock": "skipped",
        }  # fmt: skip
    assert shown.code == code
    assert shown.issuer == "CN=test authority"


def test_a_strangers_certificate_is_refused(tmp_path: Path, pki: Pki) -> None:
    (tmp_path / "other").mkdir()
    with serving(authority(tmp_path / "other")) as port:
        shown = probes.handshake(endpoint(port, pki), Deadline(SOON))
        with pytest.raises(ssl.SSLCertVerificationError):
            probes.ask(endpoint(port, pki), "GET", "/", Deadline(SOON))
    assert "pinned authority" in shown.reason


def test_a_certificate_for_another_name_is_refused(pki: Pki) -> None:
    with serving(pki) as port:
        assert probes.handshake(endpoint(port, pki, "localhost"), Deadline(SOON)).code == 62


def test_an_older_tls_is_warned_of(pki: Pki) -> None:
    with serving(pki, newest=ssl.TLSVersion.TLSv1_2) as port:
        assert way(port, pki)["tls"] == "warning"


def test_a_gate_that_shows_more_is_found_out(pki: Pki) -> None:
    with serving(pki, handler(shows={"/v1/control/list-nodes": 200, "/v1/fleet/get-run": 503})) as port:
        found = way(port, pki)
    assert (found["gate"], found["superlink"]) == ("failed", "failed")


@pytest.mark.parametrize(
    ("ahead", "level"),
    [(0.0, "ok"), (4.0, "warning"), (60.0, "failed"), (-100.0, "warning"), (-900.0, "failed")],
)
def test_a_clock_that_is_off_is_measured(pki: Pki, ahead: float, level: str) -> None:
    with serving(pki) as port:
        assert way(port, pki, ahead=ahead)["clock"] == level


def test_the_measurement_is_as_good_as_it_says(pki: Pki) -> None:
    with serving(pki, handler(offset=timedelta(seconds=-40))) as port:
        answer = probes.ask(endpoint(port, pki), "GET", "/", Deadline(SOON))
    assert abs(answer.ahead - 40) <= answer.accuracy < 1.5


def test_a_gate_that_keeps_its_time_to_itself(pki: Pki) -> None:
    class Silent(Answers):
        def send_header(self, keyword: str, value: str) -> None:
            if keyword != "Date":
                super().send_header(keyword, value)

    with serving(pki, Silent) as port:
        assert way(port, pki)["clock"] == "skipped"


def test_a_port_without_a_listener(pki: Pki) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = way(unused.getsockname()[1], pki)
    assert (found["port"], found["tls"]) == ("failed", "skipped")


def test_a_black_hole_is_given_up_in_time(pki: Pki) -> None:
    """A full queue of connections drops further ones without an answer, as a firewall does."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        began = time.monotonic()
        found = way(port, pki, seconds=0.6)
        assert time.monotonic() - began < 2.0
    assert (found["port"], found["tls"]) == ("failed", "skipped")


def test_a_server_that_never_speaks_is_given_up_in_time(pki: Pki) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        began = time.monotonic()
        found = way(listener.getsockname()[1], pki, seconds=0.6)
        assert time.monotonic() - began < 2.0
    assert (found["port"], found["tls"], found["gate"]) == ("ok", "failed", "skipped")


def test_a_server_without_tls(pki: Pki) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        assert way(server.server_address[1], pki)["tls"] == "failed"
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_speaks_tls_and_no_http(pki: Pki) -> None:
    class Mumbles(Answers):
        def handle(self) -> None:
            self.request.recv(1000)
            self.wfile.write(b"220 mail.example ESMTP\r\n")

    with serving(pki, Mumbles) as port:
        found = way(port, pki)
    assert (found["tls"], found["gate"], found["clock"]) == ("ok", "failed", "skipped")


def test_a_network_without_a_route(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", nowhere)
    assert way(1, pki)["port"] == "failed"


def test_a_name_server_that_hangs_is_given_up_in_time(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait())
    began = time.monotonic()
    found = way(1, pki, seconds=0.3)
    assert time.monotonic() - began < 1.5
    assert (found["name"], found["port"]) == ("failed", "skipped")
    never.set()


def test_a_name_that_does_not_exist(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", missing)
    ca = pki.ca.read_text(encoding="ascii")
    line = Way("x", "x", 1, ca, Deadline(SOON), lambda: datetime.now(UTC)).findings()[0]
    assert "Name or service not known" in line.text
    assert line.who == PeerError.exit_code
    own = Way("x", "x", 1, ca, Deadline(SOON), lambda: datetime.now(UTC), ConfigurationError).findings()[0]
    assert own.who == ConfigurationError.exit_code


def test_every_address_gets_its_share_of_the_time(pki: Pki) -> None:
    with serving(pki) as port:
        probes.connect(["127.0.0.2", "127.0.0.1"], port, Deadline(SOON)).close()


def test_a_deadline_is_never_zero() -> None:
    now = [0.0]
    deadline = Deadline(3.0, lambda: now[0])
    now[0] = 2.0
    assert deadline.left() == 1.0
    now[0] = 9.0
    assert 0 < deadline.left() < 0.1


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0500000A:2384 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   3: 00000000:2385 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
"""
TABLE6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:2384 00000000000000000000000000000000:0000 0A 0 0
   1: 0000000000000000FFFF00000100007F:2384 00000000000000000000000000000000:0000 0A 0 0
   2: 00000000000000000000000000000000:2384 00000000000000000000000000000000:0000 0A 0 0
"""


def test_the_kernels_table_of_listeners() -> None:
    assert probes.listeners(TABLE, 0x2384) == ["127.0.0.1", "0.0.0.0"]  # noqa: S104 - read, not bound to
    assert probes.listeners(TABLE6, 0x2384) == ["::1", "127.0.0.1", "::"]
    assert probes.listeners(TABLE, 80) == []


def test_a_real_listener_is_in_the_table() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        table = Path("/proc/net/tcp").read_text(encoding="ascii")
        assert probes.listeners(table, listener.getsockname()[1]) == ["127.0.0.1"]
