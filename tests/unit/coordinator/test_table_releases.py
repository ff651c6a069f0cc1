"""Tables at the coordinator: two people, one version, compared with what is out, never changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model_samples import TODAY, Operators
from safeborders_fed.coordinator import table_releases
from safeborders_fed.coordinator.handing_out import Signed
from safeborders_fed.errors import PeerError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.reporting.table_release import prepare
from safeborders_fed.study import canonical, model_statement, table_statement
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.table_file import Loaded, Rules
from study_life import Life
from table_samples import counts, loaded, release


@pytest.fixture
def operators(tmp_path: Path) -> Operators:
    return Operators.enrol(tmp_path)


def _store(operators: Operators, made: Loaded | None = None) -> Loaded:
    made = made or loaded(release(counts(4)))
    return table_releases.store(operators.home, made.file.to_bytes(), b"{}")


def _sign(operators: Operators, made: Loaded, *names: str, reason: str | None = "For the report.") -> Signed:
    for name in names:
        signed = table_releases.release(
            operators.home,
            made.tables.id,
            sha256=made.sha256,
            by=name,
            key=load_key(operators.keys[name]),
            today=TODAY,
            reason=reason,
        )
    return signed


def _withdraw(operators: Operators, made: Loaded, reason: str = "A state sent a wrong file.") -> Signed:
    key = load_key(operators.keys["Bo"])
    return table_releases.withdraw(
        operators.home, made.tables.id, by="Bo", key=key, today=TODAY, reason=reason
    )


def _code(error: pytest.ExceptionInfo[SafeBordersError]) -> str:
    return error.value.code


def test_tables_need_two_people(operators: Operators) -> None:
    made = _store(operators)
    first = _sign(operators, made, "Ana")
    assert (first.missing, first.files) == (1, ())
    assert list(operators.home.released.iterdir()) == []
    with pytest.raises(RefusedError, match="signed-already"):
        _sign(operators, made, "Ana")
    second = _sign(operators, made, "Bo")
    assert [path.name for path in second.files] == [
        "trends-one-1.tables.json",
        "trends-one-1.tables.release.json",
    ]
    signed = table_statement.parse(second.files[1].read_bytes())
    signed.check([operators.public("Ana"), operators.public("Bo")], 2)
    assert canonical.sha256(second.files[0].read_bytes()) == signed.statement.sha256
    assert table_releases.find(operators.home, "trends-one").status == "released"


def test_another_hash_key_or_person_signs_nothing(operators: Operators) -> None:
    made = _store(operators)
    key = load_key(operators.keys["Ana"])
    for changes, code in (
        ({"sha256": "0" * 64}, "another-hash"),
        ({"by": "Bo"}, "not-your-key"),
        ({"by": "Eve"}, "not-an-operator"),
    ):
        terms = {"sha256": made.sha256, "by": "Ana", **changes}
        with pytest.raises(RefusedError) as error:
            table_releases.release(
                operators.home, made.tables.id, key=key, today=TODAY, reason="For the report.", **terms
            )
        assert _code(error) == code
    with pytest.raises(UsageError, match="reason-missing"):
        _sign(operators, made, "Ana", reason=" ")
    assert table_releases.find(operators.home, made.tables.id).signed == ()


def test_a_signature_under_tables_is_none_under_a_model(operators: Operators) -> None:
    made = _store(operators)
    _sign(operators, made, "Ana", "Bo")
    data = (operators.home.released / "trends-one-1.tables.release.json").read_bytes()
    as_model = model_statement.parse(data)
    with pytest.raises(PeerError, match="bad-signature"):
        as_model.check((), 0)
    assert Purpose.TABLES != Purpose.MODEL


def test_a_version_is_given_once(operators: Operators) -> None:
    made = _store(operators)
    with pytest.raises(RefusedError, match="version-taken"):
        _store(operators, made)
    assert table_releases.next_version(operators.home, "trends-one") == 2


def test_tables_that_were_altered_are_not_released(operators: Operators) -> None:
    made = _store(operators)
    _sign(operators, made, "Ana")
    path = operators.home.path / "tables" / "trends-one-1.tables.json"
    content = json.loads(path.read_bytes())
    content["tables"]["population"] = "minors"
    path.write_bytes(canonical.serialise(content))
    with pytest.raises(PeerError) as error:
        _sign(operators, made, "Bo")
    assert _code(error) == "tables-altered"
    assert list(operators.home.released.iterdir()) == []


def test_tables_made_before_another_release_are_prepared_again(operators: Operators) -> None:
    one = _store(operators)
    blind = _store(operators, loaded(release(counts(5), study="trends-two", manifest="c")))
    _sign(operators, one, "Ana", "Bo")
    with pytest.raises(RefusedError) as error:
        _sign(operators, blind, "Ana")
    assert _code(error) == "not-compared"
    seeing = loaded(release(counts(5), study="trends-two", manifest="c"), None, one, version=2)
    assert _sign(operators, _store(operators, seeing), "Ana", "Bo").missing == 0


def test_one_operator_withdraws_and_readers_keep_what_they_have(operators: Operators) -> None:
    made = _store(operators)
    _sign(operators, made, "Ana", "Bo")
    done = _withdraw(operators, made)
    assert [path.name for path in done.files] == ["trends-one-1.tables.withdrawal.json"]
    assert table_releases.find(operators.home, "trends-one-1").status == "withdrawn"
    with pytest.raises(RefusedError, match="withdrawn-already"):
        _withdraw(operators, made)
    with pytest.raises(RefusedError, match="tables-withdrawn"):
        _sign(operators, made, "Ana")
    assert [each.tables.id for each in table_releases.handed_out(operators.home)] == ["trends-one-1"]


def test_each_signature_is_in_the_audit_log(operators: Operators) -> None:
    made = _store(operators)
    _sign(operators, made, "Ana", "Bo")
    _withdraw(operators, made)
    lines = (operators.home.path / "audit.jsonl").read_text().splitlines()
    done = [(entry["operation"], entry["who"]) for entry in map(json.loads, lines)][-3:]
    assert done == [("release", "Ana"), ("release", "Bo"), ("withdraw", "Bo")]


def test_unknown_tables_name_the_nearest(operators: Operators) -> None:
    _store(operators)
    with pytest.raises(UsageError, match="trends-one-1"):
        table_releases.find(operators.home, "trend-one-1")


def test_a_finished_study_becomes_a_candidate(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    parameters = {"first_year": 2020, "last_year": 2021}
    life.ready(analysis="trends", parameters=parameters)
    with pytest.raises(RefusedError, match="not-finished"):
        prepare(life.home, "study-1", Rules(), TODAY)
    life.conduct()
    made = prepare(life.home, "study-1", Rules(), TODAY)
    data = life.files().release.read_bytes()
    assert made.tables.release_hash == canonical.sha256(data)
    assert made.tables.manifest_hash == life.files().manifest().hash()
    assert table_releases.find(life.home, "study-1").status == "candidate"
    noisy = (life.home.path / "tables" / "study-1-1.noisy.json").read_bytes()
    assert made.file.exports["study-1-1.noisy.json"] == canonical.sha256(noisy)
    assert np.isfinite(json.loads(noisy)["tables"][0]["counts"]).all()
    life.files().release.write_bytes(data.replace(b"study-1", b"study-2", 1))
    with pytest.raises(PeerError, match="release-altered"):
        prepare(life.home, "study-1", Rules(), TODAY)


def test_the_study_of_another_analysis_has_no_tables(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    life.ready()
    life.conduct()
    with pytest.raises(UsageError, match="no-tables"):
        prepare(life.home, "study-1", Rules(), TODAY)
