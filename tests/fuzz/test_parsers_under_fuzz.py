"""Whatever bytes come, parsers answer with a document or a coded error; `make fuzz` goes on for longer."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parsers import run, targets

from federation_of import study
from safeborders_fed.privacy import accounting
from safeborders_fed.study import manifest

NAMES = (
    "manifest", "published study", "approval", "refusal", "roster", "signed roster", "accepted keys",
    "enrolment request", "enrolment bundle", "message", "record", "audit line", "audit tail", "anchors",
    "node.toml", "model file", "model statement", "table statement", "noisy statement", "published tables",
    "release file", "mapping",
)  # fmt: skip


def test_every_target_is_run() -> None:
    assert set(NAMES) == targets().keys()


@pytest.mark.parametrize("name", NAMES)
def test_valid_documents_are_accepted(name: str) -> None:
    target = targets()[name]
    assert [run(target, seed) for seed in target.seeds] == [None] * len(target.seeds)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_nearly_valid_documents_end_in_nothing_but_coded_errors(name: str, seed: int) -> None:
    target = targets()[name]
    rng = random.Random(seed)
    error = run(target, target.document(rng))
    assert error is None or (error.code and error.cause and error.fix)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_nothing_but_coded_errors(name: str, data: bytes) -> None:
    run(targets()[name], data)


def _settings(old: bytes, new: bytes) -> bytes:
    (text,) = targets()["node.toml"].seeds
    assert old in text
    return text.replace(old, new)


def test_what_fuzzing_found_stays_mended() -> None:
    nested = b"x = " + b"[" * 3000
    for name, data, code in (
        ("node.toml", nested, "settings-invalid"),
        ("node.toml", _settings(b'"/keys/be"', b'"/keys/\\u0000be"'), "settings-invalid"),
        ("mapping", nested, "mapping-not-toml"),
    ):
        error = run(targets()[name], data)
        assert error is not None
        assert error.code == code


@pytest.mark.parametrize("rho", [5e-324, 1e-320, 1e-308])
@pytest.mark.parametrize("delta", [5e-324, 1e-310, 1e-6])
def test_the_smallest_costs_have_an_epsilon(rho: float, delta: float) -> None:
    assert 0 <= accounting.epsilon(rho, delta) <= accounting.epsilon(1e-12, delta) < 1


def test_costs_whose_sum_no_float_holds_exceed_every_cap() -> None:
    terms = tuple(entry.model_copy(update={"rho": 1.7e308}) for entry in (*study().stages, *study().stages))
    assert manifest.total_cost(terms, 0) == math.inf
    cost = accounting.round_cost(bound=1, scale=1e200, holders=3, dimension=1)
    assert 0 < cost < 1e-300 or cost == 0
