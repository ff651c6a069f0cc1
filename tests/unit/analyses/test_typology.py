"""Typologies are found, described with honest margins, and no data make the analysis stumble."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from typology_samples import (
    FEATURES,
    MAX_VICTIMS,
    MULTIS,
    STATES,
    analysis,
    deviation,
    study,
    unknown,
    victims,
)

from safeborders_fed.analyses.base import Release, Setting
from safeborders_fed.analyses.typology import Typology
from safeborders_fed.analyses.typology_model import Layout, rake, shrunk
from safeborders_fed.analyses.typology_rows import Rows
from safeborders_fed.analyses.typology_split import widest
from safeborders_fed.cases.contract import field
from safeborders_fed.cases.encoding import Victims
from safeborders_fed.errors import RefusedError
from safeborders_fed.simulation.typology_truth import adjusted_rand_index

MADE = analysis()
SIZES = (1200, 2000, 800)


def federation(made: Typology = MADE) -> tuple[list[tuple[Rows, ...]], np.ndarray]:
    prepared, types = [], []
    for place, (name, size) in enumerate(zip(STATES, SIZES, strict=True)):
        own, planted = victims(size, place)
        prepared.append(made.prepare(own, name))
        types.append(planted)
    return prepared, np.concatenate(types)


PREPARED, TYPES = federation()
CLEAN = study(MADE, PREPARED)


def agreement(release: Release) -> float:
    likeliest = np.concatenate([MADE.responsibilities(release, rows).argmax(axis=1) for rows in PREPARED])
    together = np.zeros((4, len(release.facts["classes"])), np.int64)
    np.add.at(together, (TYPES, likeliest), 1)
    found = adjusted_rand_index(together)
    assert found is not None
    return found


def test_planted_types_are_found_without_noise() -> None:
    assert len(CLEAN.facts["classes"]) == 4
    assert agreement(CLEAN) > 0.9


def test_and_with_noise_of_an_epsilon_of_about_three() -> None:
    noisy = [study(MADE, PREPARED, rho=0.18, seed=seed) for seed in range(3)]
    assert min(agreement(release) for release in noisy) > 0.85 * agreement(CLEAN)


def test_what_no_form_tells_apart_is_found_by_splitting_only() -> None:
    without = analysis(splits=0)
    assert len(study(without, PREPARED).facts["classes"]) == 3
    assert "pairs" not in {stage.name for stage in without.stages()}


def test_a_class_that_is_one_is_not_split() -> None:
    twice = analysis(splits=3)
    counts = [len(study(twice, PREPARED, rho=0.5, seed=seed).facts["classes"]) for seed in range(3)]
    assert counts == [4, 4, 4]


def test_shares_of_rho_add_up() -> None:
    for made in (MADE, analysis(splits=0), analysis(splits=3, rounds=7)):
        assert sum(stage.share for stage in made.stages()) == pytest.approx(1.0)
        assert sum(stage.rounds for stage in made.stages()) <= 20


def test_classes_are_named_by_size_and_their_tables_add_up() -> None:
    facts = CLEAN.facts
    assert [entry["name"] for entry in facts["classes"]] == ["T1", "T2", "T3", "T4"]
    sizes = [entry["prevalence"] for entry in facts["classes"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == pytest.approx(sum(SIZES), rel=0.001)
    for entry in facts["classes"]:
        by_state = sum(victims for victims, _ in entry["by_state"].values())
        by_year = sum(victims for victims, _ in entry["by_year"].values())
        assert by_state == pytest.approx(entry["prevalence"], rel=0.001)
        assert by_year == pytest.approx(entry["prevalence"], rel=0.001)
    assert list(facts["classes"][0]["by_year"]) == ["2020", "2021", "2022", "Other"]


def test_a_class_is_described_by_what_sets_it_apart() -> None:
    labour = CLEAN.facts["classes"][0]
    named = {(entry["field"], entry["value"]): entry for entry in labour["distinguishing"]}
    form = named["forms_of_exploitation", "ForcedLabour"]
    assert form["label"] == "Forced labour"
    assert form["share_in_class"] > 0.95
    assert form["share_overall"] == pytest.approx(0.35, abs=0.03)
    assert form["lift"] == pytest.approx(form["share_in_class"] / form["share_overall"])
    assert ("transport", "Bus") in named
    assert ("transport", "Lorry") not in named


def test_a_type_is_said_to_occur_only_where_it_stands_out_of_the_noise() -> None:
    elsewhere = [
        MADE.prepare(victims(size, place)[0], name)
        for place, (name, size) in enumerate(zip(STATES, SIZES, strict=True))
    ]
    own, types = victims(800, 2)
    elsewhere[2] = MADE.prepare(own.take(types != 0), "RO")
    release = study(MADE, elsewhere, rho=0.5, seed=1)
    labour = next(
        entry for entry in release.facts["classes"] if entry["distinguishing"][0]["value"] == "ForcedLabour"
    )
    assert labour["occurs_in"] == ["BG", "IT"]
    for entry in release.facts["classes"]:
        for state, (count, error) in entry["by_state"].items():
            assert (state in entry["occurs_in"]) == (count > 2.5 * error)


def test_margins_are_those_of_repeated_noise() -> None:
    """Noise in the last round alone: 60 repetitions, false alarm below 1e-9 at these limits."""
    rng = np.random.default_rng(6)
    state = MADE.start(Setting(3, {}))
    for stage in MADE.stages()[:-1]:
        for _ in range(stage.rounds):
            state = MADE.advance(state, total_of(MADE.broadcast(state), stage.name), 0.0)
    last = MADE.stages()[-1]
    total, noise = total_of(MADE.broadcast(state), last.name), deviation(last, 0.1)
    sizes, cells = [], []
    for _ in range(60):
        noisy = total + np.rint(rng.normal(0, noise, total.shape)).astype(np.int64)
        labour = MADE.result(MADE.advance(state, noisy, noise)).facts["classes"][0]
        sizes.append(labour["prevalence"])
        cells.append(labour["by_state"]["IT"][0])
    assert 0.4 < np.std(sizes) / labour["prevalence_error"] < 1.7
    assert 0.4 < np.std(cells) / labour["by_state"]["IT"][1] < 1.7


def total_of(broadcast: dict[str, np.ndarray], name: str) -> np.ndarray:
    stage = next(stage for stage in MADE.stages() if stage.name == name)
    return np.sum([MADE.contribute(rows, stage, broadcast, MAX_VICTIMS).values for rows in PREPARED], axis=0)


def test_what_a_state_does_not_record_makes_no_class_of_its_own() -> None:
    prepared, types = [], []
    for place, (name, size) in enumerate(zip(STATES, SIZES, strict=True)):
        own, planted = victims(size, place)
        prepared.append(MADE.prepare(unknown(own, "transport") if name == "IT" else own, name))
        types.append(planted)
    release = study(MADE, prepared)
    likeliest = np.concatenate([MADE.responsibilities(release, rows).argmax(axis=1) for rows in prepared])
    together = np.zeros((4, len(release.facts["classes"])), np.int64)
    np.add.at(together, (np.concatenate(types), likeliest), 1)
    found = adjusted_rand_index(together)
    assert found is not None
    assert found > 0.85


def nothing_known(own: Victims) -> Victims:
    for name in (*MULTIS, *analysis().parameters.features[2:]):
        own = unknown(own, name)
    return own


@pytest.mark.parametrize("rho", [None, 0.05])
@pytest.mark.parametrize("case", ["twelve", "nothing known", "nobody", "one form only"])
def test_bad_data_end_in_finite_numbers(case: str, rho: float | None) -> None:
    prepared = []
    for place, name in enumerate(STATES):
        own, types = victims(12 if case == "twelve" and place == 0 else 150, place)
        if case == "nothing known":
            own = nothing_known(own)
        elif case == "nobody":
            own = own.take(np.zeros(len(own), bool))
        elif case == "one form only":
            own = own.take(types == 0)
        prepared.append(MADE.prepare(own, name))
    release = study(MADE, prepared, rho=rho)
    json.dumps(release.facts, allow_nan=False)
    assert all(np.isfinite(array).all() for array in release.arrays.values())
    scores = MADE.responsibilities(release, prepared[0])
    assert len(scores) == sum(map(len, prepared[0]))
    assert np.isfinite(scores).all()


def test_persons_found_to_be_no_victims_do_not_count_nor_do_adults_among_minors() -> None:
    own, _ = victims(500, 1)
    status = own.singles["trafficking_status"].copy()
    status[:100] = 2
    changed = replace(own, singles={**own.singles, "trafficking_status": status})
    assert sum(map(len, MADE.prepare(changed, "BG"))) == 400
    minors = analysis(population="minors").prepare(changed, "BG")
    assert sum(map(len, minors)) == int(changed.minors()[100:].sum())
    assert "age_band" in {field.name for field in analysis(population="minors").fields()}


@pytest.mark.parametrize(
    "founding", ["exploiter", "roles", "exploiter_relationship", "recruiter_relationship"]
)
def test_no_typology_is_founded_on_who_the_exploiter_is(founding: str) -> None:
    with pytest.raises(RefusedError, match="label-about-suspect"):
        analysis(features=(founding, "sex"), founding=founding)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ("forms_of_exploitation", "victim_id")},
        {"features": ("forms_of_exploitation", "trafficking_status")},
        {"features": ("forms_of_exploitation", "sex", "sex")},
        {"features": ("sex", "transport")},
    ],
)
def test_features_that_describe_no_typology_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RefusedError, match="bad-features"):
        analysis(**changes)


@pytest.mark.parametrize(
    "changes", [{"last_year": 2019}, {"states": ("BG", "BG")}, {"splits": 4, "classes": 4}]
)
def test_parameters_that_contradict_each_other_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"must|twice"):
        analysis(**changes)


def test_a_node_that_is_no_state_of_the_study_is_told_so() -> None:
    with pytest.raises(RefusedError, match="not-a-state-of-the-study"):
        MADE.prepare(victims(5, 0)[0], "FI")


def test_a_class_of_which_no_column_varies_is_not_split() -> None:
    stage = next(stage for stage in MADE.stages() if stage.name == "pairs")
    layout = Layout([field(name) for name in FEATURES])
    nothing = np.zeros(layout.size)
    total = np.full(stage.dimension, 10**9, np.int64)
    direction = widest(layout, np.full((3, layout.size), 0.5), nothing, total, 1.0)
    assert not direction.real
    assert not direction.step.any()


def test_raking_keeps_both_margins() -> None:
    rng = np.random.default_rng(7)
    weight = rng.uniform(50, 500, (3, 4))
    truth = rng.dirichlet(np.ones(5), (3, 4, 1))
    size = weight[:, :, None, None]
    of_class = (size * truth).sum(axis=1) / size.sum(axis=1)
    of_state = (size * truth).sum(axis=0) / size.sum(axis=0)
    overall = (size * truth).sum(axis=(0, 1)) / weight.sum()
    table = rake(weight, of_class, of_state, overall)
    assert (size * table).sum(axis=1) / size.sum(axis=1) == pytest.approx(of_class, abs=0.01)
    assert (size * table).sum(axis=0) / size.sum(axis=0) == pytest.approx(of_state, abs=0.01)


def test_shares_are_drawn_together_as_far_as_noise_explains_them() -> None:
    shares = np.array([[0.2, 0.3], [0.8, 0.3]])
    weight = np.ones((2, 1))
    none = shrunk(shares, np.array([0.5, 0.5]), np.zeros((2, 1)), weight)
    assert none == pytest.approx(shares)
    half = shrunk(shares, np.array([0.5, 0.3]), np.full((2, 1), 0.045), weight)
    assert half[:, 0] == pytest.approx([0.35, 0.65])
    assert half[:, 1] == pytest.approx([0.3, 0.3])
