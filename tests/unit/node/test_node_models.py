"""Models at a node: nothing is used that pinned operators have not released, or have withdrawn."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from model_samples import REASON, TODAY, Operators, small
from safeborders_fed.coordinator import models
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.models import Known, NodeModels, Unusable
from safeborders_fed.study import canonical, model_file, model_statement
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.model_statement import Statement


@pytest.fixture
def operators(tmp_path: Path) -> Operators:
    return Operators.enrol(tmp_path)


@pytest.fixture
def node(operators: Operators, tmp_path: Path) -> NodeModels:
    return _node(operators, tmp_path)


def _node(operators: Operators, tmp_path: Path, *, needed: int = 2) -> NodeModels:
    home = tmp_path / "node"
    home.mkdir(exist_ok=True)
    return NodeModels(home, (operators.public("Ana"), operators.public("Bo")), needed)


def _kept(node: NodeModels) -> list[str]:
    return [str(known.model.head.id) for known in node.known() if isinstance(known, Known)]


def _withdraw(operators: Operators, model: str) -> Path:
    key = load_key(operators.keys["Ana"])
    signed = models.withdraw(operators.home, model, by="Ana", key=key, today=TODAY, reason="It errs.")
    return signed.files[0]


def _release(file: Path, data: bytes, *keys: Ed25519PrivateKey, **changes: object) -> Path:
    """A file with a statement by these keys, without the coordinator's checks."""
    terms = {
        "action": "release",
        "name": "detection",
        "version": 1,
        "sha256": canonical.sha256(data),
        "day": TODAY,
        "reason": REASON,
    }
    signed = None
    for key in keys:
        signed = model_statement.sign(Statement.model_validate(terms | changes), key, "Somebody", signed)
    assert signed is not None
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    file.with_suffix(".release.json").write_bytes(signed.to_bytes())
    return file


@pytest.mark.parametrize(("marked", "wanted"), [(0o700, 0o600), (0o2750, 0o640)])
def test_a_model_is_open_to_analysts_where_the_directory_of_models_is(
    operators: Operators, tmp_path: Path, marked: int, wanted: int
) -> None:
    node = _node(operators, tmp_path)
    directory = tmp_path / "node" / "models"
    directory.mkdir()
    directory.chmod(marked)
    node.accept(operators.release())
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {wanted}


def test_a_released_model_is_accepted_and_used(operators: Operators, node: NodeModels) -> None:
    accepted = node.accept(operators.release())
    assert (accepted.action, str(accepted.id), accepted.reason) == ("release", "detection-1", REASON)
    assert node.for_use(None).model.sha256 == accepted.sha256
    assert _kept(node) == ["detection-1"]


def test_the_statement_may_be_named_instead_and_twice_is_once(operators: Operators, node: NodeModels) -> None:
    path = operators.release()
    assert node.accept(path) == node.accept(path.with_name("detection-1.release.json"))
    assert len(node.known()) == 1


def test_the_latest_version_is_used_unless_another_is_named(operators: Operators, node: NodeModels) -> None:
    for name in ("detection", "detection"):
        node.accept(operators.release(name=name))
    assert node.for_use(None).model.head.version == 2
    assert node.for_use("detection").model.head.version == 2
    assert node.for_use("detection-1").model.head.version == 1
    node.accept(operators.release(name="labour"))
    with pytest.raises(UsageError) as found:
        node.for_use(None)
    assert found.value.code == "which-model"
    assert node.for_use("labour").model.head.name == "labour"


def test_without_a_model_or_with_an_unknown_one_there_is_no_score(
    operators: Operators, node: NodeModels
) -> None:
    with pytest.raises(UsageError) as found:
        node.for_use(None)
    assert found.value.code == "no-model"
    node.accept(operators.release())
    with pytest.raises(UsageError) as found:
        node.for_use("detection-7")
    assert found.value.code == "unknown-model"


def test_a_model_altered_at_any_byte_is_refused(operators: Operators, node: NodeModels) -> None:
    path = operators.release()
    data, statement = path.read_bytes(), path.with_suffix(".release.json").read_bytes()
    node._verified(data, statement)
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1 + place % 255
        with pytest.raises(PeerError) as found:
            node._verified(bytes(altered), statement)
        assert found.value.code == "model-altered"


def test_a_kept_model_that_was_altered_is_refused_at_each_use(
    operators: Operators, node: NodeModels, tmp_path: Path
) -> None:
    node.accept(operators.release())
    kept = tmp_path / "node" / "models" / "detection-1.safetensors"
    kept.write_bytes(kept.read_bytes()[:-1] + b"\x01")
    with pytest.raises(PeerError) as found:
        node.for_use(None)
    assert found.value.code == "model-altered"


def _stranger(operators: Operators, path: Path) -> Path:
    del operators
    return _release(path, path.read_bytes(), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())


def _one_of_two(operators: Operators, path: Path) -> Path:
    return _release(path, path.read_bytes(), load_key(operators.keys["Ana"]))


def _another_hash(operators: Operators, path: Path) -> Path:
    return _release(path, path.read_bytes(), *map(load_key, operators.keys.values()), sha256="0" * 64)


def _another_name(operators: Operators, path: Path) -> Path:
    return _release(path, path.read_bytes(), *map(load_key, operators.keys.values()), version=9)


def _no_statement(operators: Operators, path: Path) -> Path:
    del operators
    path.with_suffix(".release.json").unlink()
    return path


def _withdrawal_for_release(operators: Operators, path: Path) -> Path:
    shutil.copy(_withdraw(operators, "detection"), path.with_suffix(".release.json"))
    return path


def _not_by_name(operators: Operators, path: Path) -> Path:
    del operators
    return path.with_suffix(".pickle")


def _another_contract(operators: Operators, path: Path) -> Path:
    data = path.read_bytes().replace(rb"\"contract_version\":\"1\"", rb"\"contract_version\":\"9\"")
    return _release(path, data, *map(load_key, operators.keys.values()))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_stranger, "wrong-operator"),
        (_one_of_two, "wrong-operator"),
        (_another_hash, "model-altered"),
        (_another_name, "model-altered"),
        (_no_statement, "release-missing"),
        (_withdrawal_for_release, "wrong-operator"),
        (_not_by_name, "not-a-model-file"),
        (_another_contract, "model-contract-version"),
    ],
)
def test_what_is_wrong_is_refused_and_not_kept(
    operators: Operators,
    node: NodeModels,
    tmp_path: Path,
    spoil: Callable[[Operators, Path], Path],
    code: str,
) -> None:
    path = shutil.copytree(operators.release().parent, tmp_path / "stick") / "detection-1.safetensors"
    with pytest.raises(SafeBordersError) as found:
        node.accept(spoil(operators, path))
    assert found.value.code == code
    assert node.known() == ()


def test_a_withdrawal_is_not_taken_for_a_release(operators: Operators, tmp_path: Path) -> None:
    node = _node(operators, tmp_path, needed=1)
    path = operators.release()
    shutil.copy(_withdraw(operators, "detection"), path.with_suffix(".release.json"))
    with pytest.raises(PeerError) as found:
        node.accept(path)
    assert found.value.code == "bad-statement"


def test_two_files_of_one_version_are_not_both_believed(
    operators: Operators, node: NodeModels, tmp_path: Path
) -> None:
    node.accept(operators.release())
    release = small()[1]
    model = node.for_use(None).model
    other = replace(release, arrays={**release.arrays, "weights": np.ones_like(release.arrays["weights"])})
    data = model_file.write(model.head, other.arrays)
    keys = map(load_key, operators.keys.values())
    with pytest.raises(RefusedError) as found:
        node.accept(_release(tmp_path / "detection-1.safetensors", data, *keys))
    assert found.value.code == "model-conflict"
    assert node.for_use(None).model.sha256 == model.sha256


def test_a_withdrawn_model_is_never_used_again(operators: Operators, node: NodeModels) -> None:
    path = operators.release()
    node.accept(path)
    accepted = node.accept(_withdraw(operators, "detection"))
    assert (accepted.action, accepted.reason) == ("withdrawal", "It errs.")
    for action in (lambda: node.for_use(None), lambda: node.accept(path)):
        with pytest.raises(RefusedError) as found:
            action()
        assert found.value.code == "model-withdrawn"
        assert "It errs." in found.value.cause
    assert [known.withdrawal for known in node.known() if isinstance(known, Known)] == ["It errs."]


def test_a_withdrawal_may_come_before_the_model(operators: Operators, node: NodeModels) -> None:
    path = operators.release()
    node.accept(_withdraw(operators, "detection"))
    with pytest.raises(RefusedError) as found:
        node.accept(path)
    assert found.value.code == "model-withdrawn"


def test_an_earlier_version_takes_over_only_when_it_is_named(operators: Operators, node: NodeModels) -> None:
    node.accept(operators.release())
    node.accept(operators.release())
    node.accept(_withdraw(operators, "detection-2"))
    with pytest.raises(RefusedError):
        node.for_use("detection")
    assert node.for_use("detection-1").withdrawal is None


def test_a_strangers_withdrawal_changes_nothing(
    operators: Operators, node: NodeModels, tmp_path: Path
) -> None:
    path = operators.release()
    node.accept(path)
    data = path.read_bytes()
    made = _release(tmp_path / "x" / "y.safetensors", data, Ed25519PrivateKey.generate(), action="withdrawal")
    statement = made.with_suffix(".release.json").rename(tmp_path / "y.withdrawal.json")
    with pytest.raises(PeerError) as found:
        node.accept(statement)
    assert found.value.code == "wrong-operator"
    assert node.for_use(None).withdrawal is None


def test_a_key_that_is_no_longer_pinned_ends_the_use_of_its_models(
    operators: Operators, node: NodeModels, tmp_path: Path
) -> None:
    node.accept(operators.release())
    changed = NodeModels(tmp_path / "node", (public_hex(Ed25519PrivateKey.generate()),), 1)
    with pytest.raises(PeerError) as found:
        changed.for_use(None)
    assert found.value.code == "wrong-operator"


@pytest.mark.parametrize(
    ("operators_pinned", "needed", "code"),
    [((), 1, "no-operator-key"), (("ab" * 32,) * 2, 2, "operator-signatures")],
)
def test_without_enough_pinned_keys_no_model_is_trusted(
    tmp_path: Path, operators_pinned: tuple[str, ...], needed: int, code: str
) -> None:
    with pytest.raises(ConfigurationError) as found:
        NodeModels(tmp_path, operators_pinned, needed)
    assert found.value.code == code


def test_what_cannot_be_written_down_is_not_kept(
    operators: Operators, node: NodeModels, tmp_path: Path
) -> None:
    def fail(_: object) -> None:
        raise ConfigurationError("audit-log-unwritable", "the disk is full", "free space")

    path = operators.release()
    for file in (path, _withdraw(operators, "detection")):
        with pytest.raises(ConfigurationError):
            node.accept(file, fail)
        assert not (tmp_path / "node" / "models").exists()


@pytest.mark.parametrize("missing", ["detection-1.safetensors", "detection-1.release.json"])
def test_half_a_model_is_passed_over_and_completed_later(
    operators: Operators, node: NodeModels, tmp_path: Path, missing: str
) -> None:
    path, labour = operators.release(), operators.release(name="labour")
    node.accept(path)
    (tmp_path / "node" / "models" / missing).unlink()
    node.accept(labour)
    assert _kept(node) == ["labour-1"]
    assert node.for_use(None).model.head.name == "labour"
    node.accept(path)
    assert _kept(node) == ["detection-1", "labour-1"]


def test_the_model_is_written_after_its_release(
    operators: Operators, node: NodeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(node, "_write", lambda name, _: written.append(name))
    node.accept(operators.release())
    assert written == ["detection-1.release.json", "detection-1.safetensors"]


@pytest.mark.parametrize("file", ["detection-1.safetensors", "detection-1.release.json"])
def test_a_damaged_model_is_shown_among_the_others_and_replaced_by_the_good_file(
    operators: Operators, node: NodeModels, tmp_path: Path, file: str
) -> None:
    path = operators.release()
    node.accept(path)
    node.accept(operators.release(name="labour"))
    kept = tmp_path / "node" / "models" / file
    kept.write_bytes(kept.read_bytes()[:-1] + b"\x01")
    damaged = node.known()[0]
    assert isinstance(damaged, Unusable)
    assert (str(damaged.id), damaged.damaged) == ("detection-1", True)
    assert _kept(node) == ["labour-1"]
    with pytest.raises(PeerError):
        node.for_use("detection")
    node.accept(path)
    assert _kept(node) == ["detection-1", "labour-1"]


def test_a_model_whose_key_is_unpinned_is_not_called_damaged(
    operators: Operators, node: NodeModels, tmp_path: Path
) -> None:
    node.accept(operators.release())
    changed = NodeModels(tmp_path / "node", (public_hex(Ed25519PrivateKey.generate()),), 1)
    (found,) = changed.known()
    assert isinstance(found, Unusable)
    assert (found.damaged, found.error.code) == (False, "wrong-operator")


def test_a_directory_that_cannot_be_written_to_is_no_defect(
    operators: Operators, node: NodeModels, tmp_path: Path
) -> None:
    (tmp_path / "node" / "models").write_bytes(b"")
    with pytest.raises(ConfigurationError) as found:
        node.accept(operators.release())
    assert found.value.code == "node-unwritable"
