"""A coordinator's address, its certificate authority and its server certificates."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.founding import add_network
from safeborders_fed.coordinator.home import CoordinatorHome, add_operator, create_home
from safeborders_fed.coordinator.network import LISTEN
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.study.key_files import load_certificate_key

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def models_only(tmp_path: Path) -> CoordinatorHome:
    return create_home(tmp_path / "home", operator="Ana", key_file=tmp_path / "ana")


@pytest.fixture
def home(models_only: CoordinatorHome, tmp_path: Path) -> CoordinatorHome:
    return add_network(
        models_only, address="coordinator.example.eu:9443", ca_key_file=tmp_path / "ca.key", now=NOW
    )


def code_of(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises((ConfigurationError, RefusedError)) as caught:
        call(*arguments, **options)  # type: ignore[operator]
    return caught.value.code


def test_a_home_made_before_there_were_networks_keeps_loading(models_only: CoordinatorHome) -> None:
    settings = models_only.path / "coordinator.toml"
    assert "[network]" not in settings.read_text(encoding="utf-8")
    again = CoordinatorHome.load(models_only.path)
    assert again.deadline_seconds == 120
    assert code_of(lambda: again.network) == "no-network"
    assert code_of(pki.server_files, again) == "no-network"


def test_settings_with_a_network_are_read_back(home: CoordinatorHome, tmp_path: Path) -> None:
    add_operator(home, "Bo", tmp_path / "bo")
    again = CoordinatorHome.load(home.path)
    network = again.network
    assert (network.address, network.host, network.port) == (
        "coordinator.example.eu:9443",
        "coordinator.example.eu",
        9443,
    )
    assert (network.listen_host, network.listen_port) == (LISTEN, 9443)
    assert again.deadline_seconds == 120
    assert [operator.name for operator in again.operators] == ["Ana", "Bo"]


@pytest.mark.parametrize(
    "address",
    [
        "coordinator",
        "coordinator:0",
        "coordinator:70000",
        ":9443",
        "a b:9443",
        "[::g]:1",
        "::1:9443",
        "-a:1",
        'x":1',
    ],
)
def test_an_address_that_is_none_writes_nothing(
    models_only: CoordinatorHome, tmp_path: Path, address: str
) -> None:
    before = sorted(path.name for path in tmp_path.rglob("*"))
    code = code_of(add_network, models_only, address=address, ca_key_file=tmp_path / "ca", now=NOW)
    assert code == "settings-invalid"
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_the_authoritys_key_lies_outside_for_its_owner_only(home: CoordinatorHome, tmp_path: Path) -> None:
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert not [
        path
        for path in home.path.rglob("*")
        if path.is_file() and b"BEGIN PRIVATE KEY" in path.read_bytes() and path.name != "server.key"
    ]
    assert pki.server_files(home)[1].stat().st_mode & 0o777 == 0o600
    inside = create_home(tmp_path / "other", operator="Ana", key_file=tmp_path / "ana2")
    code = code_of(add_network, inside, address="a:1", ca_key_file=inside.path / "ca", now=NOW)
    assert code == "key-file-inside-home"
    assert code_of(add_network, home, address="a:1", ca_key_file=tmp_path / "x", now=NOW) == "network-exists"


def test_the_server_certificate_is_for_this_host_and_the_loopback(home: CoordinatorHome) -> None:
    certificate = x509.load_pem_x509_certificate(pki.server_files(home)[0].read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"coordinator.example.eu", "localhost"}
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    }
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    assert certificate.not_valid_after_utc - NOW <= dt.timedelta(days=397)
    ca = x509.load_pem_x509_certificate(pki.ca_certificate(home))
    certificate.verify_directly_issued_by(ca)
    ends = pki.expiry(home)
    assert ends["ca"] - NOW > dt.timedelta(days=3650)
    assert ends["server"] == certificate.not_valid_after_utc


def handshake(home: CoordinatorHome, name: str, ca: bytes) -> None:
    """A TLS handshake in memory."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*pki.server_files(home))
    client = ssl.create_default_context(cadata=ca.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for turn in range(8):
        try:
            ends[turn % 2].do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("name", ["coordinator.example.eu", "localhost", "127.0.0.1"])
def test_a_client_that_pins_the_authority_trusts_the_certificate(home: CoordinatorHome, name: str) -> None:
    handshake(home, name, pki.ca_certificate(home))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(home, "elsewhere.example.eu", pki.ca_certificate(home))


@pytest.mark.parametrize("address", ["192.0.2.7:9443", "[2001:db8::7]:9443"])
def test_an_address_of_digits_is_certified_as_one(
    models_only: CoordinatorHome, tmp_path: Path, address: str
) -> None:
    made = add_network(models_only, address=address, ca_key_file=tmp_path / "ca.key", now=NOW)
    handshake(made, made.network.host, pki.ca_certificate(made))


def test_a_renewed_certificate_takes_over_in_one_step_and_the_old_one_stays_valid(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    old, _ = pki.server_files(home)
    key = load_certificate_key(tmp_path / "ca.key")
    new = pki.issue_server_certificate(home, key, NOW + dt.timedelta(days=380), days=30)
    assert pki.server_files(home) == new
    assert (home.path / "pki" / "server.crt").read_bytes() == new[0].read_bytes()
    assert (home.path / "pki" / "server.key").read_bytes() == new[1].read_bytes()
    assert old.exists()
    assert pki.expiry_of(old.read_bytes()) > NOW + dt.timedelta(days=396)
    assert pki.expiry(home)["server"] > NOW + dt.timedelta(days=409)


def test_a_certificate_needs_this_authoritys_key_and_never_outlives_it(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    stranger = ec.generate_private_key(ec.SECP384R1())
    assert code_of(pki.issue_server_certificate, home, stranger, NOW) == "wrong-ca-key"
    key = load_certificate_key(tmp_path / "ca.key")
    assert code_of(pki.issue_server_certificate, home, key, NOW, 398) == "certificate-too-long"
    end = pki.expiry(home)["ca"]
    pki.issue_server_certificate(home, key, end - dt.timedelta(days=5))
    assert pki.expiry(home)["server"] == end
    assert code_of(pki.issue_server_certificate, home, key, end) == "ca-expired"
