"""Where the keys of the store come from: one source, named in node.toml, and no other."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

import store_samples as samples
from safeborders_fed.cases import wrapping
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.errors import ConfigurationError, SafeBordersError, UsageError
from safeborders_fed.node import key_hook, key_source
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.key_source import Wanted
from safeborders_fed.node.rewrapping import rewrap
from safeborders_fed.node.settings import NodeSettings

PHRASE = "correct horse battery"
WRAPPED = b"ciphertext of the key service"


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def hook(directory: Path, body: str, monkeypatch: pytest.MonkeyPatch, mode: int = 0o700) -> Path:
    path = directory / "hook"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(mode)
    monkeypatch.setenv(key_hook.VARIABLE, str(path))
    return path


@pytest.fixture
def under_passphrase(tmp_path: Path) -> NodeSettings:
    file = private(tmp_path / "phrase", f"{PHRASE}\n".encode())
    wanted = Wanted(wrapping.Protection.PASSPHRASE, passphrase_file=file)
    return create_node(tmp_path / "ro", "RO", tmp_path / "ro.key", 1000, wanted)


@pytest.fixture
def under_kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeSettings:
    """The service answers with a key only to the wrapped key that it knows."""
    key = private(tmp_path / "kek", secrets.token_bytes(32))
    known = private(tmp_path / "wrapped", WRAPPED)
    hook(tmp_path, f'cmp -s - "{known}" || exit 3\ncat "{key}"', monkeypatch)
    wanted = Wanted(wrapping.Protection.KMS, wrapped_key_file=known)
    return create_node(tmp_path / "ro", "RO", tmp_path / "ro.key", 1000, wanted)


def test_a_key_file_under_a_passphrase_opens_the_store(
    under_passphrase: NodeSettings, tmp_path: Path
) -> None:
    assert samples.take_in(under_passphrase, map(samples.row, range(5))).accepted == 5
    assert NodeSettings.load(under_passphrase.home).open_store().cases().num_rows == 5
    content = (tmp_path / "ro.key").read_bytes()
    keys = under_passphrase.store_keys()
    for secret in (keys.cases, keys.identifiers, keys.pseudonym):
        assert json.loads(keys.to_bytes())["cases"].encode() not in content
        assert secret not in content
    assert json.loads(content)["n"] == 2**17
    assert (tmp_path / "ro.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda home: private(home / "phrase", b"another passphrase"), "wrong-passphrase"),
        (lambda home: private(home / "phrase", b"\xff\xfe"), "passphrase-unreadable"),
        (lambda home: (home / "phrase").unlink(), "key-file-missing"),
        (lambda home: (home / "phrase").chmod(0o644), "key-file-exposed"),
        (
            lambda home: NodeKeys.generate().save(home / "x") or (home / "x").replace(home / "ro.key"),
            "key-protection-differs",
        ),
    ],
)
def test_nothing_else_opens_it(under_passphrase: NodeSettings, tmp_path: Path, change, code: str) -> None:  # noqa: ANN001 - a lambda
    change(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        under_passphrase.open_store()
    assert caught.value.code == code
    assert PHRASE not in str(caught.value)


@pytest.mark.parametrize("field", ["n", "r", "p", "salt", "sealed", "kind", "schema_version"])
def test_an_altered_key_file_is_refused(under_passphrase: NodeSettings, tmp_path: Path, field: str) -> None:
    path = tmp_path / "ro.key"
    content = json.loads(path.read_bytes())
    content[field] = 1024 if isinstance(content[field], int) else content[field][:-4] + "AAA="
    path.write_text(json.dumps(content), encoding="ascii")
    with pytest.raises(ConfigurationError) as caught:
        under_passphrase.open_store()
    assert caught.value.code in {"key-file-malformed", "wrong-passphrase"}


def test_a_short_passphrase_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    file = private(tmp_path / "phrase", b"short")
    with pytest.raises(ConfigurationError, match="passphrase-too-short"):
        create_node(
            tmp_path / "ro", "RO", tmp_path / "ro.key", 9, Wanted(wrapping.Protection.PASSPHRASE, file)
        )
    assert not (tmp_path / "ro.key").exists()


def test_without_file_and_terminal_nobody_is_asked(
    under_passphrase: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = under_passphrase.model_copy(update={"key_passphrase_file": None})
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UsageError, match="no-terminal"):
        settings.store_keys()


def test_at_a_terminal_a_command_asks_once(
    under_passphrase: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or PHRASE)
    settings = under_passphrase.model_copy(update={"key_passphrase_file": None})
    key_source._typed.cache_clear()
    try:
        assert settings.store_keys() == under_passphrase.store_keys()
        settings.open_store()
    finally:
        key_source._typed.cache_clear()
    assert len(asked) == 1


def test_a_passphrase_may_be_a_credential_of_the_service(
    under_passphrase: NodeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = tmp_path / "credentials"
    handed.mkdir()
    (tmp_path / "phrase").rename(handed / "phrase")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    assert under_passphrase.open_store().latest_snapshot() is None


def test_the_key_service_opens_the_store(under_kms: NodeSettings) -> None:
    assert samples.take_in(under_kms, map(samples.row, range(5))).accepted == 5
    assert NodeSettings.load(under_kms.home).open_store().cases().num_rows == 5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("exit 7", "kms-failed"),
        ("kill -9 $$", "kms-failed"),
        ("cat >/dev/null", "kms-bad-key"),
        ("printf short", "kms-bad-key"),
        ("head -c 33 /dev/zero", "kms-bad-key"),
        ("cat /dev/zero", "kms-bad-key"),
        ("head -c 32 /dev/zero", "kms-wrong-key"),
        ("echo secret >&2; exit 1", "kms-failed"),
        ("exec >&-; sleep 60", "kms-timeout"),
        ("sleep 60 & sleep 60", "kms-timeout"),
    ],
)
def test_a_hook_that_does_wrong_is_an_error(
    under_kms: NodeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, code: str
) -> None:
    hook(tmp_path, body, monkeypatch)
    monkeypatch.setattr(key_hook.unwrapped, "__defaults__", (0.5,))
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        under_kms.open_store()
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert time.monotonic() - began < 10


def test_a_hook_that_hangs_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(tmp_path, f'sleep 60 & echo $! > "{tmp_path}/pid"; wait', monkeypatch)
    with pytest.raises(ConfigurationError, match="kms-timeout"):
        key_hook.unwrapped(WRAPPED, seconds=0.5)
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    end = time.monotonic() + 10
    while _lives(pid):  # the kernel takes a moment
        assert time.monotonic() < end


def _lives(pid: int) -> bool:
    try:
        return "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "kms-command-missing"),
        ("hook", "kms-command-missing"),
        ("/no/such", "kms-command-missing"),
        ("/", "kms-command-missing"),
        ("{hook} --key 1", "kms-command-missing"),
    ],
)
def test_a_hook_that_is_none_is_an_error(
    under_kms: NodeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, code: str
) -> None:
    if value is None:
        monkeypatch.delenv(key_hook.VARIABLE)
    else:
        monkeypatch.setenv(key_hook.VARIABLE, value.format(hook=tmp_path / "hook"))
    with pytest.raises(ConfigurationError) as caught:
        under_kms.open_store()
    assert caught.value.code == code


def test_a_hook_that_others_may_change_is_not_run(
    under_kms: NodeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(tmp_path, f'touch "{tmp_path}/ran"', monkeypatch, mode=0o722)
    with pytest.raises(ConfigurationError, match="kms-command-exposed"):
        under_kms.open_store()
    assert not (tmp_path / "ran").exists()


_HEADS = (
    "safeborders-node-keys",
    "safeborders-node-keys-under-passphrase",
    "safeborders-node-keys-under-kms",
)


@settings_of(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.sampled_from([b"[" * 60_000, b'{"kind":' * 8_000, b'{"kind": NaN}', b'{"n": 1e999}']),
        st.dictionaries(
            st.sampled_from(["kind", "sealed", "wrapped", "salt", "n", "r", "p", "cases", "pseudonym"]),
            st.one_of(st.sampled_from(_HEADS), st.integers(), st.text(), st.none(), st.lists(st.text())),
        ).map(lambda content: json.dumps(content).encode()),
    )
)
def test_whatever_stands_in_a_key_file_is_read_or_refused(content: bytes) -> None:
    path, key = Path("k"), bytes(32)
    readers: list[Callable[[], object]] = [
        lambda: wrapping.protection_of(content, path),
        lambda: wrapping.wrapped_key(content, path),
        lambda: wrapping.open_with_key(content, key, path),
        lambda: NodeKeys.from_bytes(content, path),
    ]
    for read in readers:
        with contextlib.suppress(ConfigurationError):
            read()


def test_what_stands_beside_the_secrets_is_bound_to_them() -> None:
    key, path = secrets.token_bytes(32), Path("k")
    keys = NodeKeys.generate()
    content = json.loads(wrapping.under_service(keys, b"one", key))
    assert wrapping.open_with_key(json.dumps(content).encode(), key, path) == keys
    content["wrapped"] = "dHdv"
    with pytest.raises(ConfigurationError, match="kms-wrong-key"):
        wrapping.open_with_key(json.dumps(content).encode(), key, path)


@pytest.mark.parametrize("size", [0, wrapping.LARGEST_WRAPPED_KEY + 1])
def test_a_wrapped_key_has_a_size(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hook(tmp_path, "head -c 32 /dev/zero", monkeypatch)
    wanted = Wanted(wrapping.Protection.KMS, wrapped_key_file=private(tmp_path / "w", b"x" * size))
    with pytest.raises(ConfigurationError, match="wrapped-key-invalid"):
        key_source.content(NodeKeys.generate(), wanted)


@pytest.mark.parametrize(
    "text",
    [
        'key_protection = "rot13"',
        "key_protection = 1",
        'key_passphrase_file = "/p"',
        'key_protection = "kms"\nkey_passphrase_file = "/p"',
        'key_protectoin = "none"',
    ],
)
def test_settings_name_one_source_only(tmp_path: Path, text: str) -> None:
    settings = samples.node(tmp_path)
    path = settings.home / "node.toml"
    old = path.read_text(encoding="utf-8").replace('key_protection = "none"', text)
    path.write_text(old, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="settings-invalid"):
        NodeSettings.load(settings.home)


def test_a_passphrase_file_inside_the_directory_is_refused(tmp_path: Path) -> None:
    settings = samples.node(tmp_path)
    path = settings.home / "node.toml"
    text = 'key_protection = "passphrase"\nkey_passphrase_file = "phrase"'
    path.write_text(
        path.read_text(encoding="utf-8").replace('key_protection = "none"', text), encoding="utf-8"
    )
    with pytest.raises(ConfigurationError, match="key-file-inside-home"):
        NodeSettings.load(settings.home)


def test_rewrapping_keeps_the_keys_and_the_old_file(tmp_path: Path) -> None:
    settings = samples.node(tmp_path)
    keys, old = settings.store_keys(), (tmp_path / "ro.key").read_bytes()
    phrase = private(tmp_path / "phrase", PHRASE.encode())
    lines = rewrap(settings, tmp_path / "new.key", Wanted(wrapping.Protection.PASSPHRASE, phrase), by="Dana")
    assert (tmp_path / "ro.key").read_bytes() == old
    path = settings.home / "node.toml"
    kept = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.startswith(("key_file", "key_protection"))
    ]
    path.write_text("\n".join([lines, *kept]), encoding="utf-8")
    changed = NodeSettings.load(settings.home)
    assert changed.key_path == tmp_path / "new.key"
    assert changed.store_keys() == keys
    assert changed.open_store().cases().num_rows == 40
    entry = samples.log_entries(settings)[-1]
    assert (entry["operation"], entry["who"], entry["details"]["to"]) == ("rekey", "Dana", "passphrase")


def test_a_new_key_file_stays_outside_and_overwrites_nothing(tmp_path: Path) -> None:
    settings = samples.node(tmp_path)
    with pytest.raises(ConfigurationError, match="key-file-inside-home"):
        rewrap(settings, settings.home / "k", Wanted(), by="Dana")
    with pytest.raises(ConfigurationError, match="key-file-exists"):
        rewrap(settings, tmp_path / "ro.key", Wanted(), by="Dana")


def test_options_that_do_not_fit_are_refused() -> None:
    for arguments in (
        (wrapping.Protection.NONE, Path("p"), None),
        (wrapping.Protection.KMS, None, None),
        (wrapping.Protection.PASSPHRASE, None, Path("w")),
    ):
        with pytest.raises(SafeBordersError, match="key-protection"):
            Wanted(*arguments)
