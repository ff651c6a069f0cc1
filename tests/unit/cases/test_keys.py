"""Node keys: independent, private, and refused when they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.errors import ConfigurationError


def test_saved_keys_load_again_and_only_the_owner_may_read_them(tmp_path: Path, keys: NodeKeys) -> None:
    path = tmp_path / "keys"
    keys.save(path)
    assert NodeKeys.load(path) == keys
    assert path.stat().st_mode & 0o777 == 0o600


def test_secrets_differ_and_are_not_shown(keys: NodeKeys) -> None:
    secrets = {keys.pseudonym, keys.cases, keys.identifiers}
    assert {len(secret) for secret in secrets} == {32}
    assert len(secrets) == 3
    assert repr(keys) == "NodeKeys()"


def test_a_key_file_is_never_overwritten(tmp_path: Path, keys: NodeKeys) -> None:
    path = tmp_path / "keys"
    keys.save(path)
    with pytest.raises(ConfigurationError, match="key-file-exists"):
        NodeKeys.generate().save(path)
    assert NodeKeys.load(path) == keys


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_key_file_that_others_may_open_is_refused(tmp_path: Path, keys: NodeKeys, mode: int) -> None:
    path = tmp_path / "keys"
    keys.save(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="key-file-exposed"):
        NodeKeys.load(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "{", '{"kind": "other"}', "ключ"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="key-file-malformed"):
        NodeKeys.load(path)


@pytest.mark.parametrize("value", ["AAAA", "not base64!", 7, None])
def test_a_damaged_secret_is_refused_and_not_quoted(tmp_path: Path, keys: NodeKeys, value: object) -> None:
    path = tmp_path / "keys"
    keys.save(path)
    content = json.loads(path.read_text(encoding="ascii"))
    path.write_text(json.dumps(content | {"cases": value}), encoding="ascii")
    with pytest.raises(ConfigurationError) as caught:
        NodeKeys.load(path)
    assert content["pseudonym"] not in str(caught.value)


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="key-file-missing"):
        NodeKeys.load(tmp_path / "none")


def test_the_same_secret_twice_is_refused(keys: NodeKeys) -> None:
    with pytest.raises(ConfigurationError, match="key-invalid"):
        replace(keys, identifiers=keys.cases)
