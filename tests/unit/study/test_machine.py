"""What the machine under a node is asked, and what its answers mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from safeborders_fed.node.approvals import create_approver_key
from safeborders_fed.study import machine
from safeborders_fed.study.key_files import new_transport_key, save_key, save_transport_key

GIB = 2**30


def statvfs(free: int, files: int = 1000, free_files: int = 900) -> Any:
    return lambda _: os.statvfs_result((1, 1, free, free, free, files, free_files, free_files, 0, 255))


@pytest.mark.parametrize(
    ("look", "level"),
    [
        (statvfs(100 * GIB), "ok"),
        (statvfs(5 * GIB), "ok"),
        (statvfs(5 * GIB - 1), "warning"),
        (statvfs(512 * 2**20 - 1), "failed"),
        (statvfs(0), "failed"),
        (statvfs(100 * GIB, 1000, 40), "warning"),
        (statvfs(100 * GIB, 1000, 0), "failed"),
        (statvfs(100 * GIB, 0, 0), "ok"),  # no limit on the number of files
    ],
)
def test_room_on_the_disk(look: Any, level: str) -> None:
    found = machine.disk("disk", Path("/x"), look)
    assert found.level == level
    assert bool(found.fix) == (level != "ok")


@pytest.mark.parametrize(
    ("mode", "level"),
    [
        (0o700, "ok"),
        (0o500, "ok"),
        (0o750, "warning"),
        (0o755, "warning"),
        (0o770, "failed"),
        (0o777, "failed"),
    ],
)
def test_the_directory_is_its_owners(tmp_path: Path, mode: int, level: str) -> None:
    directory = tmp_path / "home"
    directory.mkdir()
    directory.chmod(mode)
    assert machine.private_directory("directory", directory).level == level


@pytest.mark.parametrize(
    ("mode", "around", "level"),
    [
        (0o600, 0o700, "ok"),
        (0o400, 0o755, "ok"),
        (0o600, 0o1777, "ok"),  # sticky: others cannot replace it
        (0o640, 0o700, "failed"),
        (0o604, 0o700, "failed"),
        (0o600, 0o777, "failed"),
        (0o600, 0o775, "failed"),
    ],
)
def test_a_key_file_is_its_owners(tmp_path: Path, mode: int, around: int, level: str) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    key = directory / "be.key"
    key.write_bytes(b"secret")
    key.chmod(mode)
    directory.chmod(around)
    found = machine.private_key("key", key, tmp_path)
    assert found.level == level
    assert "secret" not in found.text


def test_a_credential_is_systemds_to_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its access list shows as a right of the group, and root owns it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    key = tmp_path / "be.key"
    key.write_bytes(b"")
    key.chmod(0o440)
    assert machine.private_key("key", key, tmp_path).level == "ok"
    key.chmod(0o444)
    assert machine.private_key("key", key, tmp_path).level == "failed"


def test_a_key_of_another_user_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, key = tmp_path / "home", tmp_path / "be.key"
    home.mkdir()
    key.write_bytes(b"")
    key.chmod(0o600)
    real = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        found = list(real(path, **options))
        if path == home:
            found[4] += 1
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", stat)
    assert machine.private_key("key", key, home).level == "warning"


def test_private_keys_are_found_whatever_their_form(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "a" / "b").mkdir(parents=True)
    save_key(key, tmp_path / "a" / "b" / "x.dat")
    save_transport_key(new_transport_key(), tmp_path / "ssh")
    create_approver_key(tmp_path / "guarded.pem", "correct horse battery")
    (tmp_path / "ca.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "large").write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + bytes(100_000))
    (tmp_path / "empty").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found = {path.name: public for path, public in machine.private_keys_below(tmp_path)}
    assert found.keys() == {"x.dat", "ssh", "guarded.pem"}
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()
    assert found["x.dat"] == der
    assert found["ssh"] is not None
    assert found["guarded.pem"] is None


def _fails() -> int:
    raise OSError


@pytest.mark.parametrize(
    ("state", "level"),
    [(lambda: 0, "ok"), (lambda: 5, "warning"), (lambda: -1, "skipped"), (_fails, "skipped")],
)
def test_the_kernel_says_whether_its_clock_is_kept(state: Any, level: str) -> None:
    assert machine.clock("time", state).level == level


def test_the_kernel_can_be_asked() -> None:
    assert machine.clock("time").name == "time"


def test_pinned_packages_have_their_version(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"flwr": "1.41.0", "torch": "2.13.0+cpu"}
    monkeypatch.setattr(machine.metadata, "version", lambda name: installed[name])
    wanted = ["flwr==1.41.0", "torch == 2.13.0", "numpy<3,>=2.4", 'dp-accounting==0.6.0; extra == "dev"']
    monkeypatch.setattr(machine.metadata, "requires", lambda _: wanted)
    assert machine.packages("versions").level == "ok"
    installed["flwr"] = "1.42.0"
    found = machine.packages("versions")
    assert found.level == "failed"
    assert "flwr 1.42.0 instead of 1.41.0" in found.text


def test_without_metadata_nothing_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Any:
        raise machine.metadata.PackageNotFoundError

    monkeypatch.setattr(machine.metadata, "requires", missing)
    monkeypatch.setattr(machine.metadata, "version", missing)
    assert machine.packages("versions").level == "ok"
