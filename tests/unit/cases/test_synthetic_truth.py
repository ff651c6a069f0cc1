"""What is planted: proportions, signal, corridor, networks. Seeds 1 to 5 only; others are for reporting."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from stdnum import iban as standard_iban
from stdnum.be import vat as be
from stdnum.bg import vat as bg
from stdnum.it import iva as it
from stdnum.ro import cui as ro

from safeborders_fed.cases.contract import Kind, features
from safeborders_fed.cases.synthetic import generate
from safeborders_fed.cases.synthetic.check_digits import COMPANY_COUNTRIES
from safeborders_fed.cases.synthetic.identifiers import Maker, write
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, GROUPS, table, typologies
from safeborders_fed.cases.synthetic.population import Population, draw_population
from safeborders_fed.cases.synthetic.recording import Recorded, record
from safeborders_fed.cases.synthetic.signal import Decisions, area_under_curve, decide

SEED = 3


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("full")
    generate(directory, SEED)
    return json.loads((directory / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drawn() -> tuple[Population, Recorded, Decisions]:
    population = draw_population(SEED, 1.0)
    recorded = record(SEED, population)
    return population, recorded, decide(SEED, population, recorded)


@pytest.mark.parametrize("country", COUNTRIES)
def test_victims_minors_and_forms_keep_the_published_proportions(truth: dict[str, Any], country: str) -> None:
    published = table("calibration")["states"][country]
    state = truth["states"][country]
    assert 500 <= state["victims"] <= 6000
    assert state["victims"] == pytest.approx(sum(published["victims_by_year"]), rel=0.06)
    minors = published["minors"] / (published["minors"] + published["adults"])
    assert state["minors_among_victims"] / state["victims"] == pytest.approx(minors, abs=0.04)
    forms = np.array([published["forms"][form] for form in GROUPS]) / sum(published["forms"].values())
    drawn = np.array([state["victims_by_form"][form] for form in GROUPS]) / state["victims"]
    assert np.abs(drawn - forms).max() < 0.08


def test_sizes_and_outcomes_are_those_asked_for(truth: dict[str, Any]) -> None:
    states = truth["states"].values()
    persons = sum(state["persons"] for state in states)
    assert 18_000 <= persons <= 22_000
    assert 0.55 <= sum(state["actual"] for state in states) / persons <= 0.65
    assert 0.25 <= sum(state["not_victims"] for state in states) / persons <= 0.30
    for state in states:
        assert 0.003 <= sum(state["quarantined"].values()) / state["rows"] <= 0.01


def test_every_form_and_both_ages_occur_in_every_state(truth: dict[str, Any]) -> None:
    for state in truth["states"].values():
        assert min(state["victims_by_form"].values()) > 0
        assert 0 < state["minors_among_victims"] < state["victims"]


def test_the_published_posterior_is_calibrated(drawn: tuple[Population, Recorded, Decisions]) -> None:
    decisions = drawn[2]
    order = np.argsort(decisions.probability)
    for part in np.array_split(order, 10):
        expected = decisions.probability[part].mean()
        margin = 5 * np.sqrt(expected * (1 - expected) / len(part))
        assert abs(decisions.actual[part].mean() - expected) < margin


def test_a_pooled_linear_model_reaches_the_intended_range_and_the_optimum_lies_above(
    drawn: tuple[Population, Recorded, Decisions],
) -> None:
    population, recorded, decisions = drawn
    design = _one_hot(recorded)
    held_out = np.random.default_rng(0).random(len(population)) < 0.25
    train, test = decisions.determined & ~held_out, decisions.determined & held_out
    score = design @ _fit(design[train], decisions.actual[train])
    pooled = area_under_curve(score[test], decisions.actual[test])
    optimum = area_under_curve(decisions.probability[test], decisions.actual[test])
    assert 0.78 <= pooled <= 0.85
    assert pooled + 0.02 < optimum < 0.90
    small = [COUNTRIES.index(country) for country in ("BE", "FI", "GR", "PL", "PT")]
    gaps = []
    for index in small:
        own = population.state == index
        alone = design @ _fit(design[train & own], decisions.actual[train & own])
        mine = test & own
        gaps.append(
            area_under_curve(score[mine], decisions.actual[mine])
            - area_under_curve(alone[mine], decisions.actual[mine])
        )
    assert np.mean(gaps) > 0.015


def _one_hot(recorded: Recorded) -> np.ndarray:
    columns = [np.ones((len(recorded.singles["sex"]), 1))]
    for entry in features():
        if entry.kind == Kind.SINGLE:
            bins = np.array([entry.bins.index(value.bin) for value in entry.values] + [len(entry.bins)])
            columns.append(np.eye(len(entry.bins) + 1)[bins[recorded.singles[entry.name]]])
        else:
            columns += [recorded.multis[entry.name] == 1, recorded.multis[entry.name] == -1]
    return np.hstack([np.asarray(column, dtype=np.float64) for column in columns])


def _fit(design: np.ndarray, label: np.ndarray) -> np.ndarray:
    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = design @ weights
        value = np.logaddexp(0, margin).sum() - margin[label].sum() + 5 * weights @ weights
        return float(value), design.T @ (expit(margin) - label) + 10 * weights

    return minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x


def test_typologies_overlap_and_yet_differ(truth: dict[str, Any]) -> None:
    means = {
        name: np.array([entry["parameters"]["means_of_control"].get(code, 0) for code in _MEANS])
        for name, entry in truth["typologies"].items()
    }
    assert len(means) == 6
    for name, own in means.items():
        assert own.min() > 0.1
        assert own.max() < 0.7
        assert all(
            np.abs(own - other).max() > 0.1 for other_name, other in means.items() if other_name != name
        )
    present = {name for persons in truth["persons"].values() for name in persons["typology"]}
    assert present == set(typologies())


_MEANS = ("DebtBondage", "TakesEarnings", "RestrictsMovement", "PhysicalThreats", "FalsePromises")


def test_the_corridor_rises_from_nothing(truth: dict[str, Any]) -> None:
    corridor = truth["corridor"]
    by_year = corridor["persons_by_year"]
    assert all(by_year[str(year)] == 0 for year in range(2018, 2023))
    assert 0 < by_year["2023"] < by_year["2025"]
    assert sum(corridor["victims_before"].values()) < corridor["victims_by_year"]["2025"]
    assert sum(truth["persons"][corridor["state"]]["corridor"]) == sum(by_year.values())


def test_networks_cross_borders_and_some_true_links_are_hard(truth: dict[str, Any]) -> None:
    networks = truth["networks"]
    assert 20 <= len(networks) <= 40
    identifiers = [entry for network in networks for entry in network["identifiers"]]
    for entry in identifiers:
        assert len({written["country"] for written in entry["written"]}) in {2, 3}
    errors = {written["typing_error"] for entry in identifiers for written in entry["written"]}
    assert "digit" in errors
    differently = [len({written["text"] for written in entry["written"]}) > 1 for entry in identifiers]
    assert np.mean(differently) > 0.5
    members = [
        (country, victim)
        for network in networks
        for country, ids in network["victims"].items()
        for victim in ids
    ]
    assert len(set(members)) == len(members)


def test_near_misses_belong_to_somebody_else(truth: dict[str, Any]) -> None:
    shared = {entry["canonical"] for network in truth["networks"] for entry in network["identifiers"]}
    members = {
        (country, victim)
        for network in truth["networks"]
        for country, ids in network["victims"].items()
        for victim in ids
    }
    assert len(truth["near_misses"]) >= 20
    for miss in truth["near_misses"]:
        assert miss["resembles"] in shared
        assert miss["canonical"] not in shared
        assert (miss["country"], miss["victim_id"]) not in members


def test_check_digits_are_those_of_the_standards() -> None:
    random = Random(1)
    maker = Maker(random)
    rules = dict(zip(COMPANY_COUNTRIES, (be, bg, it, ro), strict=True))
    for _ in range(300):
        company = maker.make("company", "")
        assert rules[company.home].is_valid(company.parts[1])
        near = maker.near(company)
        assert rules[near.home].is_valid(near.parts[1])
        account = maker.make("account", "")
        assert standard_iban.is_valid(account.canonical)
        assert standard_iban.is_valid(maker.near(account).canonical)


def test_numbers_from_the_drama_range_stay_in_it_when_they_are_varied() -> None:
    random = Random(2)
    maker = Maker(random)
    numbers = [maker.make("phone", "GB") for _ in range(100)]
    for number in [*numbers, *map(maker.near, numbers[:50])]:
        assert number.canonical.startswith("+447700900")
        assert len(number.canonical) == 13
        assert write(random, number, "BG")[0].replace(" ", "").replace("-", "").endswith(number.parts[0])
