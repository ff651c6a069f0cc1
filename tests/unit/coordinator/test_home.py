"""A coordinator's directory and its operators."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.coordinator.home import CoordinatorHome, add_operator, create_home
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.key_files import load_key, save_key


@pytest.fixture
def home(tmp_path: Path) -> CoordinatorHome:
    return create_home(tmp_path / "home", operator="Ana Ruiz", key_file=tmp_path / "ana")


def test_a_new_coordinator_asks_for_two_people_and_holds_no_key(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    assert home.release_signatures == 2
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "ana").stat().st_mode & 0o777 == 0o600
    public = public_hex(load_key(tmp_path / "ana"))
    assert [(entry.name, entry.public) for entry in home.operators] == [("Ana Ruiz", public)]
    secret = load_key(tmp_path / "ana").private_bytes_raw()
    assert all(secret.hex() not in path.read_text() for path in home.path.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["Bo", 'Bo "the second" O\\Neill', "Ирина Иванова"])
def test_a_second_operator_is_enrolled_under_any_printable_name(
    home: CoordinatorHome, tmp_path: Path, name: str
) -> None:
    added = add_operator(home, name, tmp_path / "bo")
    again = CoordinatorHome.load(home.path)
    assert [entry.name for entry in again.operators] == ["Ana Ruiz", name]
    assert again.operators[1] == added
    assert again.require_operator(name, load_key(tmp_path / "bo")) == added


@pytest.mark.parametrize("name", ["", "Ana Ruiz", " Bo", "Bo\nb", "x" * 201])
def test_nobody_is_enrolled_twice_or_without_a_name(home: CoordinatorHome, tmp_path: Path, name: str) -> None:
    before = (home.path / "coordinator.toml").read_bytes()
    with pytest.raises(ConfigurationError) as found:
        add_operator(home, name, tmp_path / "bo")
    assert found.value.code == "settings-invalid"
    assert (home.path / "coordinator.toml").read_bytes() == before
    assert not (tmp_path / "bo").exists()


def test_a_key_inside_the_directory_is_refused(home: CoordinatorHome, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as found:
        add_operator(home, "Bo", home.path / "models" / "bo")
    assert found.value.code == "key-file-inside-home"
    with pytest.raises(ConfigurationError) as found:
        create_home(tmp_path / "other", operator="Ana", key_file=tmp_path / "other" / "key")
    assert found.value.code == "key-file-inside-home"


def test_nothing_that_exists_is_overwritten(home: CoordinatorHome, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as found:
        create_home(home.path, operator="Bo", key_file=tmp_path / "bo")
    assert found.value.code == "coordinator-exists"
    with pytest.raises(ConfigurationError) as found:
        create_home(tmp_path / "other", operator="Bo", key_file=tmp_path / "ana")
    assert found.value.code == "key-file-exists"


def test_only_an_enrolled_person_with_their_own_key_counts(home: CoordinatorHome, tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as found:
        home.require_operator("Eve", load_key(tmp_path / "ana"))
    assert found.value.code == "not-an-operator"
    with pytest.raises(RefusedError) as found:
        home.require_operator("Ana Ruiz", Ed25519PrivateKey.generate())
    assert found.value.code == "not-your-key"


ONE = "[[operators]]\nname='A'\npublic='{key}'\n"


@pytest.mark.parametrize(
    "text",
    [
        "release_signatures = ",
        "release_signatures = 2",
        "release_signatures = 0\n" + ONE,
        "release_signatures = 1\nmore = 2\n" + ONE,
        "release_signatures = 1\n" + ONE.replace("{key}", "abc"),
        "release_signatures = 1\n" + ONE + ONE.replace("'A'", "'B'"),
        "release_signatures = 1\n" + ONE + ONE.replace("{key}", "cd" * 32),
    ],
)
def test_wrong_settings_are_refused(home: CoordinatorHome, text: str) -> None:
    (home.path / "coordinator.toml").write_text(text.replace("{key}", "ab" * 32), encoding="utf-8")
    with pytest.raises(ConfigurationError) as found:
        CoordinatorHome.load(home.path)
    assert found.value.code == "settings-invalid"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as found:
        CoordinatorHome.load(tmp_path / "nowhere")
    assert found.value.code == "settings-missing"


def test_a_key_file_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    save_key(Ed25519PrivateKey.generate(), tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    (tmp_path / "text").write_text("hello", encoding="utf-8")
    (tmp_path / "text").chmod(0o600)
    for name, code in (
        ("key", "key-file-open-to-others"),
        ("text", "key-file-malformed"),
        ("none", "key-file-missing"),
    ):
        with pytest.raises(ConfigurationError) as found:
            load_key(tmp_path / name)
        assert found.value.code == code
    with pytest.raises(ConfigurationError) as found:
        save_key(Ed25519PrivateKey.generate(), tmp_path / "no" / "key")
    assert found.value.code == "key-file-unwritable"
