"""A manifest says what a study costs, and cannot claim less."""

import json

import pytest

from federation_of import EXPIRES, MAX_VICTIMS, NODES, SMALL
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.privacy import accounting
from safeborders_fed.study import canonical, wire
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.manifest import Manifest, parse


def wish(**changes: object) -> Wish:
    terms: dict[str, object] = {
        "id": "study-1",
        "purpose": "a test",
        "legal_basis": "none",
        "analysis": "logistic",
        "parameters": {"target": "actual_victim", "features": ["sex", "age_band"], "rounds": 5},
        "participants": NODES,
        "roster_hash": SMALL.roster.hash(),
        "trust": "local",
        "rho": 0.1,
        "delta": 1e-6,
        "expires": EXPIRES,
        "max_victims": MAX_VICTIMS,
    }
    return Wish(**{**terms, **changes})  # type: ignore[arg-type] - the point of some tests


def edited(**changes: object) -> bytes:
    return canonical.serialise({**json.loads(draft(wish()).canonical()), **changes})


@pytest.mark.parametrize("rho", [1e-4, 0.1, 3.0])
@pytest.mark.parametrize("retries", [0, 3])
def test_a_draft_spends_what_was_wished_and_no_more(rho: float, retries: int) -> None:
    manifest = draft(wish(rho=rho, retries=retries))
    assert rho * (1 - 1e-6) <= manifest.rho <= rho
    assert manifest.epsilon == accounting.epsilon(manifest.rho, manifest.delta)
    dearest = max(stage.rho for stage in manifest.stages)
    rounds = sum(stage.rounds * stage.rho for stage in manifest.stages)
    assert manifest.rho == pytest.approx(rounds + retries * dearest)


def test_a_manifest_comes_back_from_its_bytes_with_the_same_hash() -> None:
    manifest = draft(wish())
    assert parse(manifest.canonical()) == manifest
    assert parse(manifest.canonical()).hash() == manifest.hash()
    assert draft(wish(purpose="another")).hash() != manifest.hash()


def stage(**changes: object) -> list[dict[str, object]]:
    stages = json.loads(draft(wish()).canonical())["stages"]
    stages[1].update(changes)
    return list(stages)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rho": 0.01}, "rho is below"),
        ({"epsilon": 0.1}, "epsilon is below"),
        ({"stages": stage(rho=1e-9)}, "less than its noise"),
        ({"stages": stage(sigma=1000.0)}, "less than its noise"),
        ({"stages": stage(rounds=6)}, "stages are not"),
        ({"stages": stage(bound=2**10)}, "stages are not"),
        ({"columns": ["sex"]}, "columns"),
        ({"contract_version": "0"}, "data contract"),
        ({"protocol": wire.PROTOCOL + 1}, "another protocol"),
        (
            {"parameters": {"target": "actual_victim", "features": ["sex", "age_band"], "rounds": 5}},
            "defaults",
        ),
        ({"participants": ["BE", "BE", "FI"]}, "twice"),
        ({"participants": ["FI", "BG", "BE"]}, "order"),
        ({"minimum_participants": 5}, "more participants"),
        ({"minimum_participants": 2}, "half of the participants"),
        ({"trust": "masked", "tolerated_colluders": 0}, "tolerate at least 1"),
        ({"trust": "masked", "tolerated_colluders": 2}, "less than 2 holders"),
        ({"max_victims": 2**45}, "62 bits"),
        ({"analysis": "mining"}, "no analysis"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        parse(edited(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"epsilon": -1.0},
        {"id": "../../etc"},
        {"participants": []},
        {"expires": "soon"},
        {"trust": "blind"},
        {"unit": "one row"},
        {"retries": 1.5},
        {"software_version": "\x1b[2J"},
        {"parameters": {"target": "actual_victim", "features": ["sex"], "clip": 7.0}},
        {"parameters": {"target": "actual_victim", "features": ["sex"], "suspects": True}},
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"manifest is wrong|parameters of analysis"):
        parse(edited(**changes))


@pytest.mark.parametrize("features", [["trafficking_status"], ["case_id"], ["sex", "sex"]])
def test_features_that_identify_or_hold_the_label_are_refused(features: list[str]) -> None:
    with pytest.raises(RefusedError, match="cannot be features"):
        draft(wish(parameters={"target": "actual_victim", "features": features}))


def test_bytes_in_another_form_are_refused() -> None:
    with pytest.raises(PeerError, match="canonical"):
        parse(json.dumps(json.loads(draft(wish()).canonical()), indent=1).encode())


def test_all_of_it_is_in_the_hash() -> None:
    manifest = draft(wish())
    content = json.loads(manifest.canonical())
    assert set(content) == set(Manifest.model_fields)


def test_another_version_of_the_software_may_have_drafted_it() -> None:
    """What a manifest costs and computes is recomputed here; its version is shown, not compared (ADR 15)."""
    assert parse(edited(software_version="99.0")).software_version == "99.0"
