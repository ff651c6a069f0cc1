"""Files of private keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study import durable
from safeborders_fed.study.key_files import (
    load_certificate_key,
    load_key,
    load_transport_key,
    located,
    new_transport_key,
    save_certificate_key,
    save_key,
    save_transport_key,
    transport_public,
)

KINDS: list[tuple[Callable[[], Any], Any, Any]] = [
    (Ed25519PrivateKey.generate, save_key, load_key),
    (new_transport_key, save_transport_key, load_transport_key),
    (new_transport_key, save_certificate_key, load_certificate_key),
]


def code_of(call: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments)
    assert "BEGIN" not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(("make", "save", "load"), KINDS)
def test_a_key_is_read_back_and_nobody_else_may_read_it(
    tmp_path: Path, make: Any, save: Any, load: Any
) -> None:
    path, key = tmp_path / "key", make()
    save(key, path)
    assert load(path).public_key() == key.public_key()
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert code_of(save, make(), path) == "key-file-exists"
    path.chmod(0o644)
    assert code_of(load, path) == "key-file-open-to-others"
    path.chmod(0o600)
    assert path.read_bytes() == before
    path.write_bytes(before[: len(before) // 2])
    assert code_of(load, path) == "key-file-malformed"
    assert code_of(load, tmp_path / "none") == "key-file-missing"


@pytest.mark.parametrize(("make", "save", "load"), KINDS)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, make: Any, save: Any, load: Any) -> None:
    save(make(), tmp_path / "key")
    for other in (load_key, load_transport_key, load_certificate_key):
        if other is not load:
            assert code_of(other, tmp_path / "key") == "key-file-malformed"


def test_flower_can_load_a_transport_key(tmp_path: Path) -> None:
    key = new_transport_key()
    save_transport_key(key, tmp_path / "key")
    loaded = load_ssh_private_key((tmp_path / "key").read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert isinstance(loaded.curve, ec.SECP384R1)
    public = transport_public(key)
    assert public.startswith("ecdsa-sha2-nistp384 ")
    assert len(public.split()) == 2
    assert load_ssh_public_key(public.encode()) == key.public_key()


def test_a_file_is_replaced_as_a_whole_and_created_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.create(path, b"one")
    with pytest.raises(FileExistsError):
        durable.create(path, b"two")
    assert path.read_bytes() == b"one"
    durable.replace(path, b"three")
    assert path.read_bytes() == b"three"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_service_takes_the_credential_of_the_key_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk, handed = tmp_path / "etc" / "node.key.signing", tmp_path / "credentials"
    handed.mkdir()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert located(on_disk) == on_disk, "it is not there, but that is where it belongs"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    assert located(on_disk) == on_disk
    save_key(Ed25519PrivateKey.generate(), handed / on_disk.name)
    assert located(on_disk) == handed / on_disk.name
    on_disk.parent.mkdir()
    save_key(Ed25519PrivateKey.generate(), on_disk)
    assert located(on_disk) == on_disk, "whoever can read the file uses it, and can renew it"


@pytest.mark.parametrize(("mode", "accepted"), [(0o400, True), (0o440, True), (0o460, False), (0o444, False)])
def test_the_group_right_that_an_access_list_shows_is_accepted_for_credentials_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, *, accepted: bool
) -> None:
    key = tmp_path / "node.key"
    save_key(Ed25519PrivateKey.generate(), key)
    NodeKeys.generate().save(tmp_path / "store.key")
    for path in (key, tmp_path / "store.key"):
        path.chmod(mode)
    loads: list[Callable[[], object]] = [lambda: load_key(key), lambda: NodeKeys.load(tmp_path / "store.key")]
    for load in loads:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        if accepted:
            load()
        else:
            with pytest.raises(ConfigurationError):
                load()
        monkeypatch.delenv("CREDENTIALS_DIRECTORY")
        if mode != 0o400:
            with pytest.raises(ConfigurationError):
                load()
