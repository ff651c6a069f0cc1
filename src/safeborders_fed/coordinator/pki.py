"""The coordinator's own certificate authority, and the certificate that its gate and SuperLink show.

Layout, below the coordinator's directory::

    pki/ca.crt                       what nodes pin, with the bundle of their enrolment
    pki/0001/server.crt server.key   one directory a certificate; the key has mode 600
    pki/current                      names the directory in use
    pki/server.crt pki/server.key    the same two files, for programs that want fixed names

Guarantees: the authority's key lies outside the directory. A new certificate is put in place in one step, so
certificate and key of ``server_files`` always belong together; the one before stays valid until its own end.
No certificate outlives the authority.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from safeborders_fed.audit.chain import Operation
from safeborders_fed.cases.snapshots import sync_directory
from safeborders_fed.coordinator import recording
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.study import durable
from safeborders_fed.study.key_files import save_certificate_key

CA_YEARS: Final = 10
SERVER_DAYS: Final = 397
"""What browsers and auditors take at most."""
_WHO: Final = "holder of the authority's key"
_BACKDATED: Final = timedelta(hours=1)
"""Clocks of nodes may be behind."""


def create_ca(directory: Path, key: ec.EllipticCurvePrivateKey, now: datetime) -> None:
    """Writes the certificate of a new authority, ``pki/ca.crt``, into a coordinator's directory.

    Args:
        directory: The coordinator's.
        key: The authority's key; the caller keeps it elsewhere.
        now: Aware time.

    Raises:
        ConfigurationError: ``coordinator-unwritable``.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SafeBorders coordinator authority")])
    builder = _builder(name, name, key.public_key(), now, now + timedelta(days=round(CA_YEARS * 365.25)))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    try:
        (directory / "pki").mkdir(mode=0o700, exist_ok=True)
        durable.replace(directory / "pki" / "ca.crt", _pem(builder.sign(key, hashes.SHA384())))
    except OSError as error:
        raise _unwritable(directory, error) from error


def ca_certificate(home: CoordinatorHome) -> bytes:
    """The authority's certificate, PEM.

    Raises:
        ConfigurationError: ``no-network``.
    """
    return _read(home.path / "pki" / "ca.crt")


def issue_server_certificate(
    home: CoordinatorHome, ca_key: ec.EllipticCurvePrivateKey, now: datetime, days: int = SERVER_DAYS
) -> tuple[Path, Path]:
    """Makes a key and a certificate for the coordinator's address, and puts both in use.

    Args:
        home: The coordinator.
        ca_key: The authority's key.
        now: Aware time.
        days: For how long.

    Raises:
        RefusedError: ``wrong-ca-key``, or ``ca-expired``.
        ConfigurationError: ``no-network``, ``certificate-too-long`` or ``coordinator-unwritable``.
    """
    if not 1 <= days <= SERVER_DAYS:
        raise ConfigurationError(
            "certificate-too-long",
            f"a server certificate for {days} days",
            f"choose 1 to {SERVER_DAYS} days",
        )
    ca = x509.load_pem_x509_certificate(ca_certificate(home))
    if ca.public_key() != ca_key.public_key():
        raise RefusedError(
            "wrong-ca-key",
            "the key is not that of this coordinator's authority",
            "give the right --ca-key-file",
        )
    until = min(now + timedelta(days=days), ca.not_valid_after_utc)
    if until <= now:
        raise RefusedError(
            "ca-expired",
            f"the coordinator's authority ended on {ca.not_valid_after_utc:%Y-%m-%d}",
            "make a new coordinator directory with a new authority, and enrol the nodes again",
        )
    key = ec.generate_private_key(ec.SECP384R1())
    builder = _server_builder(home.network.host, ca.subject, key.public_key(), now, until)
    certificate = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
    ).sign(ca_key, hashes.SHA384())
    facts = {"until": until.isoformat(), "sha256": hashlib.sha256(_pem(certificate)).hexdigest()}
    recording.note(home, Operation.KEY_CHANGE, who=_WHO, why="a new server certificate", details=facts)
    try:
        files = _put_in_use(home.path / "pki", key, _pem(certificate))
    except OSError as error:
        raise _unwritable(home.path, error) from error
    recording.log(home)
    return files


def server_files(home: CoordinatorHome) -> tuple[Path, Path]:
    """Certificate and key in use. Other paths than before mean: there is a new certificate.

    Raises:
        ConfigurationError: ``no-network``.
    """
    directory = home.path / "pki" / "current"
    certificate = directory.resolve() / "server.crt"
    if not certificate.exists():
        raise _no_pki(certificate)
    return certificate, certificate.with_name("server.key")


def expiry(home: CoordinatorHome) -> dict[str, datetime]:
    """The end of the authority (``ca``) and of the certificate in use (``server``), UTC.

    Raises:
        ConfigurationError: ``no-network``.
    """
    certificates = {"ca": ca_certificate(home), "server": _read(server_files(home)[0])}
    return {name: expiry_of(pem) for name, pem in certificates.items()}


def expiry_of(pem: bytes) -> datetime:
    """The end of a certificate, UTC.

    Raises:
        ConfigurationError: ``bad-certificate``.
    """
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError as error:
        raise ConfigurationError(
            "bad-certificate", "a file does not hold a certificate", "restore it from backup"
        ) from error


def _server_builder(
    host: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    # A long host name stands in the alternative names only: a common name has 64 characters at most.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SafeBorders coordinator")])
    names = dict.fromkeys([_general_name(name) for name in (host, "localhost", "127.0.0.1", "::1")])
    builder = _builder(subject, issuer, key, now, until)
    builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    return builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _put_in_use(pki: Path, key: ec.EllipticCurvePrivateKey, certificate: bytes) -> tuple[Path, Path]:
    """Both files in a new directory, then one step that makes it the one in use."""
    numbers = [int(path.name) for path in pki.iterdir() if path.is_dir() and path.name.isdigit()]
    directory = pki / f"{max(numbers, default=0) + 1:04d}"
    directory.mkdir(mode=0o700)
    save_certificate_key(key, directory / "server.key")
    durable.create(directory / "server.crt", certificate)
    _link(pki / "current", directory.name)
    for name in ("server.crt", "server.key"):
        with suppress(FileExistsError):
            (pki / name).symlink_to(f"current/{name}")
    sync_directory(pki)
    return directory / "server.crt", directory / "server.key"


def _link(path: Path, target: str) -> None:
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    waiting.symlink_to(target)
    waiting.replace(path)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _no_pki(path) from error


def _no_pki(path: Path) -> ConfigurationError:
    return ConfigurationError(
        "no-network",
        f"{path} is not there: this coordinator has no certificate",
        "run `safeborders coordinator network --address HOST:PORT --ca-key-file FILE`",
    )


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "coordinator-unwritable",
        f"{path} cannot be written: {error.strerror}",
        "free space on the disk, or mend the rights of the coordinator's directory",
    )
