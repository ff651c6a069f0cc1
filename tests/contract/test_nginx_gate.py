"""The nginx example as it stands, in front of a TLS server that tells what reached it."""

import http.client
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from federation_of import ROOT
from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.founding import add_network
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.transport.gate import FLEET, LARGEST_BODY

EXAMPLE = (ROOT / "coordinator" / "nginx.conf.example").read_text(encoding="utf-8")
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")

needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Superlink(http.server.BaseHTTPRequestHandler):
    """Answers every request with what it was."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = json.dumps({"path": self.path, "size": len(body), "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Stays silent."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> CoordinatorHome:
    directory = tmp_path_factory.mktemp("coordinator")
    made = create_home(directory / "home", operator="Ana", key_file=directory / "ana")
    now = datetime.now(UTC)
    return add_network(made, address="localhost:9443", ca_key_file=directory / "ca.key", now=now)


def configured(home: CoordinatorHome, work: Path, port: int, superlink: int) -> Path:
    """The example with this test's places and ports."""
    text = EXAMPLE
    for old, new in (
        ("/var/lib/safeborders/coordinator", str(home.path)),
        ("/run/nginx.pid", str(work / "nginx.pid")),
        ("/var/log/nginx/safeborders-error.log", str(work / "error.log")),
        ("listen 9443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8000", f"127.0.0.1:{superlink}"),
        ("worker_processes auto", "worker_processes 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = work / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def gate(home: CoordinatorHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """nginx before a server with the coordinator's certificate; its port."""
    work = tmp_path_factory.mktemp("nginx")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Superlink)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.server_files(home))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    path = configured(home, work, port, server.server_port)
    assert PROGRAM is not None
    with subprocess.Popen([PROGRAM, "-c", path, "-g", "daemon off;"]) as nginx:
        try:
            _wait_for(port)
            yield port
        finally:
            nginx.terminate()
            server.shutdown()
            server.server_close()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)  # another process; there is no clock to inject


def ask(
    home: CoordinatorHome, port: int, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(home.path / "pki" / "ca.crt"))
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_passes_on_what_the_built_in_gate_passes_on() -> None:
    line = next(text for text in EXAMPLE.splitlines() if "location ~" in text)
    assert set(line.partition("(")[2].partition(")")[0].split("|")) == {
        path.removeprefix("/v1/fleet/") for path in FLEET
    }
    assert f"client_max_body_size {LARGEST_BODY // 2**20}m;" in EXAMPLE


@needs_nginx
def test_nginx_accepts_the_example(home: CoordinatorHome, tmp_path: Path) -> None:
    path = configured(home, tmp_path, free_port(), free_port())
    assert PROGRAM is not None
    done = subprocess.run([PROGRAM, "-t", "-c", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_nginx
def test_a_node_gets_through_with_its_own_headers_only(home: CoordinatorHome, gate: int) -> None:
    status, told = ask(
        home, gate, "POST", "/v1/fleet/pull-messages", b"x" * 2_000_000, Flwr_Signature="s", X_Other="o"
    )
    assert status == 200
    seen = json.loads(told)
    assert (seen["path"], seen["size"]) == ("/v1/fleet/pull-messages", 2_000_000)
    names = {name.lower() for name in seen["headers"]}
    assert "flwr-signature" in names
    assert "x-other" not in names


@needs_nginx
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/fleet/pull-messages"),
        ("PUT", "/v1/fleet/pull-messages"),
        ("POST", "/v1/fleet/register-node"),
        ("POST", "/v1/fleet/get-fab"),
        ("POST", "/v1/control/start-run"),
        ("POST", "/v1/fleet/../control/start-run"),
        ("POST", "/v1/fleet/pull-messages/../../control/start-run"),
        ("POST", "/v1/fleet/pull-messages/"),
        ("POST", "/v1/fleet/pull-messages?x=1"),
        ("GET", "/"),
    ],
)
def test_everything_else_is_not_there(home: CoordinatorHome, gate: int, method: str, path: str) -> None:
    assert ask(home, gate, method, path)[0] == 404


@needs_nginx
def test_a_body_that_is_too_large_is_refused_unread(home: CoordinatorHome, gate: int) -> None:
    status, _ = ask(home, gate, "POST", "/v1/fleet/push-object", b"", Content_Length=str(LARGEST_BODY + 1))
    assert status == 413


@needs_nginx
def test_old_tls_is_refused(home: CoordinatorHome, gate: int) -> None:
    context = ssl.create_default_context(cafile=str(home.path / "pki" / "ca.crt"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", gate), timeout=5) as plain,
        pytest.raises(ssl.SSLError),
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass
