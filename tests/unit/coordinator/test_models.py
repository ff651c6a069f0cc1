"""Candidates, releases and withdrawals at the coordinator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import study
from model_samples import REASON, TODAY, Operators, small
from safeborders_fed.coordinator import models
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.study import canonical, model_file, model_statement
from safeborders_fed.study.key_files import load_key


@pytest.fixture
def operators(tmp_path: Path) -> Operators:
    return Operators.enrol(tmp_path)


def _withdraw(operators: Operators, model: str, reason: str = "It errs.") -> models.Signed:
    key = load_key(operators.keys["Bo"])
    return models.withdraw(operators.home, model, by="Bo", key=key, today=TODAY, reason=reason)


def test_a_candidate_is_kept_and_not_handed_out(operators: Operators) -> None:
    model = operators.store()
    assert str(model.head.id) == "detection-1"
    assert list(operators.home.released.iterdir()) == []
    found = models.find(operators.home, "detection")
    assert (found.status, found.signed, found.withdrawal) == ("candidate", (), None)
    assert found.model.sha256 == model.sha256


def test_versions_of_a_name_grow(operators: Operators) -> None:
    for name in ("detection", "detection", "labour", "detection"):
        operators.store(name=name)
    ids = [str(entry.model.head.id) for entry in models.listed(operators.home)]
    assert ids == ["detection-1", "detection-2", "detection-3", "labour-1"]
    assert models.find(operators.home, "detection").model.head.version == 3
    assert models.find(operators.home, "detection-2").model.head.version == 2


def test_versions_are_numbers_not_texts(operators: Operators) -> None:
    for _ in range(11):
        operators.store()
    assert models.find(operators.home, "detection").model.head.version == 11


def test_the_model_card_is_bound_by_its_hash(operators: Operators) -> None:
    made, release = small()
    model = models.store(operators.home, release, made, name="detection", today=TODAY, card=b'{"a":1}')
    assert model.head.card_hash == canonical.sha256(b'{"a":1}')
    files = operators.sign(model, "Ana", "Bo").files
    assert [path.name for path in files] == [
        "detection-1.safetensors",
        "detection-1.card.json",
        "detection-1.release.json",
    ]


def test_a_release_needs_two_people(operators: Operators) -> None:
    model = operators.store()
    first = operators.sign(model, "Ana")
    assert (first.signed, first.missing, first.files) == (("Ana",), 1, ())
    assert models.find(operators.home, "detection").status == "candidate"
    assert list(operators.home.released.iterdir()) == []
    second = operators.sign(model, "Bo")
    assert (second.signed, second.missing) == (("Ana", "Bo"), 0)
    assert models.find(operators.home, "detection").status == "released"
    handed_out, statement = second.files
    assert canonical.sha256(handed_out.read_bytes()) == model.sha256
    signed = model_statement.parse(statement.read_bytes())
    signed.check([operators.public("Ana"), operators.public("Bo")], 2)
    assert (signed.statement.sha256, signed.statement.reason) == (model.sha256, REASON)


def test_the_same_person_twice_is_one(operators: Operators) -> None:
    model = operators.store()
    operators.sign(model, "Ana")
    with pytest.raises(RefusedError) as found:
        operators.sign(model, "Ana")
    assert found.value.code == "signed-already"


def test_one_person_suffices_where_the_settings_say_so(tmp_path: Path) -> None:
    home = create_home(tmp_path / "c", operator="Ana", key_file=tmp_path / "key", release_signatures=1)
    operators = Operators(home, {"Ana": tmp_path / "key"})
    assert operators.sign(operators.store(), "Ana").missing == 0


def test_the_second_person_signs_what_the_first_has_signed(operators: Operators) -> None:
    model = operators.store()
    operators.sign(model, "Ana")
    arguments = {"sha256": model.sha256, "by": "Bo", "key": load_key(operators.keys["Bo"]), "today": TODAY}
    arguments |= {"although_unknown": True}
    with pytest.raises(RefusedError) as found:
        models.release(operators.home, "detection", reason="Something else.", **arguments)
    assert found.value.code == "another-statement"
    assert models.release(operators.home, "detection", **arguments).missing == 0


@pytest.mark.parametrize("reason", [None, "", "  ", "x" * 2001])
def test_a_release_says_why(operators: Operators, reason: str | None) -> None:
    model = operators.store()
    with pytest.raises(UsageError) as found:
        models.release(
            operators.home,
            "detection",
            sha256=model.sha256,
            by="Ana",
            key=load_key(operators.keys["Ana"]),
            today=TODAY,
            reason=reason,
            although_unknown=True,
        )
    assert found.value.code == "reason-missing"


@pytest.mark.parametrize(
    ("overall", "known"),
    [
        ({"auc": 0.8, "margin": 0.1}, True),
        ({"auc": 0.6, "margin": 0.0999}, True),
        ({"auc": 0.6, "margin": 0.1}, False),
        ({"auc": 0.4, "margin": 0.01}, False),
        ({"auc": None, "margin": None, "reason": "too few"}, False),
        (None, False),
    ],
)
def test_a_model_that_may_be_no_better_than_chance_is_released_only_knowingly(
    operators: Operators, overall: dict[str, Any] | None, *, known: bool
) -> None:
    release = small()[1]
    measured = release.facts["evaluation"]
    evaluation = None if overall is None else {**measured, "overall": {**measured["overall"], **overall}}
    model = operators.store(release=replace(release, facts={**release.facts, "evaluation": evaluation}))
    assert model.accuracy_known is known
    terms = {"sha256": model.sha256, "by": "Ana", "key": load_key(operators.keys["Ana"]), "today": TODAY}
    if known:
        assert models.release(operators.home, "detection", reason=REASON, **terms).signed == ("Ana",)
        return
    with pytest.raises(RefusedError, match="better than chance") as found:
        models.release(operators.home, "detection", reason=REASON, **terms)
    assert found.value.code == "accuracy-unknown"
    assert "--although-accuracy-unknown" in found.value.fix
    assert models.find(operators.home, "detection").signed == ()
    terms |= {"although_unknown": True}
    assert models.release(operators.home, "detection", reason=REASON, **terms).signed == ("Ana",)


def test_a_hash_may_be_given_in_capitals(operators: Operators) -> None:
    model = operators.store()
    assert model.sha256 != model.sha256.upper()
    assert operators.sign(replace(model, sha256=model.sha256.upper()), "Ana").signed == ("Ana",)
    statement = operators.home.models / "detection-1.release.json"
    assert model_statement.parse(statement.read_bytes()).statement.sha256 == model.sha256


def test_strangers_and_wrong_hashes_sign_nothing(operators: Operators) -> None:
    model = operators.store()
    key = load_key(operators.keys["Ana"])
    for changes, code in (
        ({"by": "Eve"}, "not-an-operator"),
        ({"key": Ed25519PrivateKey.generate()}, "not-your-key"),
        ({"sha256": model.sha256[:12]}, "another-hash"),
    ):
        terms = {"sha256": model.sha256, "by": "Ana", "key": key, "today": TODAY, "reason": REASON} | changes
        with pytest.raises(RefusedError) as found:
            models.release(operators.home, "detection", **terms)
        assert found.value.code == code
    assert models.find(operators.home, "detection").signed == ()


def test_one_person_withdraws_and_nothing_releases_it_again(operators: Operators) -> None:
    model = operators.store()
    operators.sign(model, "Ana", "Bo")
    (statement,) = _withdraw(operators, "detection").files
    signed = model_statement.parse(statement.read_bytes())
    signed.check([operators.public("Bo")], 1)
    assert (signed.statement.action, signed.statement.sha256) == ("withdrawal", model.sha256)
    found = models.find(operators.home, "detection")
    assert (found.status, found.withdrawal) == ("withdrawn", "It errs.")
    with pytest.raises(RefusedError) as again:
        _withdraw(operators, "detection")
    assert again.value.code == "withdrawn-already"
    with pytest.raises(RefusedError) as released:
        operators.sign(model, "Ana")
    assert released.value.code == "model-withdrawn"


def test_what_was_signed_cannot_be_exchanged_for_another_model(operators: Operators) -> None:
    release = small()[1]
    model = operators.store()
    operators.sign(model, "Ana")
    other = replace(release, arrays={**release.arrays, "weights": np.ones_like(release.arrays["weights"])})
    data = model_file.write(model.head, other.arrays)
    (operators.home.models / "detection-1.safetensors").write_bytes(data)
    with pytest.raises(PeerError) as found:
        operators.sign(model, "Bo")
    assert found.value.code == "model-altered"


def test_an_altered_candidate_is_not_shown(operators: Operators) -> None:
    operators.store()
    path = operators.home.models / "detection-1.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(PeerError):
        models.find(operators.home, "detection")


def test_an_unknown_model_is_named(operators: Operators) -> None:
    with pytest.raises(UsageError, match="'other'"):
        models.find(operators.home, "other")
    assert models.listed(operators.home) == ()


@pytest.mark.parametrize("name", ["", "Detection", "a/b", "-a", "a" * 65, "a b"])
def test_a_bad_name_is_refused(operators: Operators, name: str) -> None:
    with pytest.raises(UsageError) as found:
        operators.store(name=name)
    assert found.value.code == "bad-model-name"
    assert list(operators.home.models.iterdir()) == []


def test_a_release_of_another_study_is_refused(operators: Operators) -> None:
    release = small()[1]
    trends = study(analysis="trends", parameters={"first_year": 2018, "last_year": 2020})
    with pytest.raises(RefusedError) as found:
        models.store(operators.home, release, trends, name="x", today=TODAY)
    assert found.value.code == "not-its-study"
    counts = replace(release, kind="trends")
    with pytest.raises(RefusedError) as found:
        models.store(operators.home, counts, trends, name="x", today=TODAY)
    assert found.value.code == "unknown-model-kind"


def test_a_candidate_survives_being_loaded_again(operators: Operators) -> None:
    operators.store()
    assert len(models.listed(CoordinatorHome.load(operators.home.path))) == 1
