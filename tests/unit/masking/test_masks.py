from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.masking.keys import StudyKey
from safeborders_fed.masking.masks import Binding, mask, pair_info
from safeborders_fed.study.sums import add_up

NODES = ("BE", "GR", "RO")
FALSE_ALARM = 1e-9


def listing(keys: dict[str, StudyKey]) -> tuple[tuple[str, str], ...]:
    return tuple((node, keys[node].public) for node in sorted(keys))


def bind(participants: Sequence[tuple[str, str]], **changed: Any) -> Binding:
    fields: dict[str, Any] = {
        "protocol": 1,
        "manifest_hash": "0a" * 32,
        "roster_hash": "0b" * 32,
        "round": 2,
        "attempt": 3,
        "broadcast_hash": "0c" * 32,
        "participants": tuple(participants),
    }
    return Binding(**{**fields, **changed})


def unchecked(binding: Binding, participants: tuple[tuple[str, str], ...]) -> Binding:
    """What a node would work with if it did not look at the list."""
    copy = replace(binding)
    object.__setattr__(copy, "participants", participants)
    return copy


@pytest.fixture
def keys() -> dict[str, StudyKey]:
    return {node: StudyKey.generate() for node in NODES}


def masked_vectors(
    keys: dict[str, StudyKey], bindings: dict[str, Binding], values: dict[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.uint64]]:
    return {
        node: values[node].view(np.uint64) + mask(key, node, bindings[node], len(values[node]))
        for node, key in keys.items()
    }


@settings(max_examples=60, deadline=None)
@given(
    nodes=st.sets(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), min_size=2, max_size=6
    ),
    dimension=st.sampled_from([1, 2, 3, 7, 40, 16_384, 16_385, 40_000]),
    seed=st.integers(0, 2**32),
)
def test_masks_cancel_in_the_sum_of_all_participants(nodes: set[str], dimension: int, seed: int) -> None:
    keys = {node: StudyKey.generate() for node in nodes}
    binding = bind(listing(keys))
    limits = np.iinfo(np.int64)
    source = np.random.default_rng(seed)
    values = {
        node: source.integers(limits.min, limits.max, dimension, np.int64, endpoint=True) for node in nodes
    }
    vectors = masked_vectors(keys, dict.fromkeys(nodes, binding), values)
    order = sorted(nodes)
    random.Random(seed).shuffle(order)
    plain = add_up([values[node].view(np.uint64) for node in order])
    assert (add_up([vectors[node] for node in order]) == plain).all()
    for node in nodes:
        assert (vectors[node] != values[node].view(np.uint64)).mean() > 0.9


def test_without_one_participant_the_sum_is_garbage(keys: dict[str, StudyKey]) -> None:
    binding = bind(listing(keys))
    values = {node: np.zeros(1000, np.int64) for node in NODES}
    vectors = masked_vectors(keys, dict.fromkeys(NODES, binding), values)
    for absent in NODES:
        assert looks_random(add_up([vectors[node] for node in NODES if node != absent]))


def looks_random(total: NDArray[np.int64]) -> bool:
    """Whether hardly a number is small, as one in 2^23 random ones is."""
    return bool((np.abs(total.astype(np.float64)) > 2.0**40).mean() > 0.99)


OTHER = StudyKey.generate()
CHANGES = {
    "protocol": {"protocol": 2},
    "manifest": {"manifest_hash": "1a" * 32},
    "roster": {"roster_hash": "1b" * 32},
    "round": {"round": 4},
    "attempt": {"attempt": 4},
    "broadcast": {"broadcast_hash": "1c" * 32},
    "a participant more": lambda listed: (*listed, ("SE", OTHER.public)),
    "a participant fewer": lambda listed: listed[:2],
    "a key of a peer": lambda listed: (*listed[:2], ("RO", OTHER.public)),
    "two keys exchanged": lambda listed: (listed[0], ("GR", listed[2][1]), ("RO", listed[1][1])),
    "the name of a peer": lambda listed: (listed[0], ("GA", listed[1][1]), listed[2]),
    "the node's own name": lambda listed: (("BA", listed[0][1]), *listed[1:]),
    "round and attempt exchanged": {"round": 3, "attempt": 2},
    "manifest and roster exchanged": {"manifest_hash": "0b" * 32, "roster_hash": "0a" * 32},
}


def changed(binding: Binding, change: Any) -> Binding:
    return replace(
        binding, **(change if isinstance(change, dict) else {"participants": change(binding.participants)})
    )


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_one_node_that_was_told_otherwise_makes_the_sum_garbage(
    keys: dict[str, StudyKey], change: Any
) -> None:
    binding = bind(listing(keys))
    told = changed(binding, change)
    name = told.participants[0][0]  # BE, or what BE was told that it is called
    others = [mask(keys[node], node, binding, 1000) for node in ("GR", "RO")]
    assert (add_up([mask(keys["BE"], "BE", binding, 1000), *others]) == 0).all()
    assert looks_random(add_up([mask(keys["BE"], name, told, 1000), *others]))


def test_every_bound_item_changes_the_info_of_a_pair_that_it_does_not_name(keys: dict[str, StudyKey]) -> None:
    listed = listing(keys)
    binding = bind(listed)
    about_others = [
        changed(binding, change) for name, change in CHANGES.items() if name != "the node's own name"
    ]
    infos = {pair_info(each.common(), listed[0], listed[1], 10) for each in [binding, *about_others]}
    assert len(infos) == len(CHANGES)


def test_every_item_of_the_pair_changes_its_info() -> None:
    common = bind([("BE", "00" * 32), ("GR", "01" + "00" * 31)]).common()
    a, b, c = ("09" + "00" * 31, "0a" + "00" * 31, "0b" + "00" * 31)
    pairs = [
        (("BE", a), ("GR", b), 10),
        (("GR", a), ("BE", b), 10),
        (("BA", a), ("GR", b), 10),
        (("BE", b), ("GR", a), 10),
        (("BE", a), ("RO", b), 10),
        (("BE", c), ("GR", b), 10),
        (("BE", a), ("GR", c), 10),
        (("BEG", a), ("R", b), 10),
        (("BE", a), ("GR", b), 11),
    ]
    assert len({pair_info(common, *pair) for pair in pairs}) == len(pairs)


def test_masks_of_different_attempts_and_lengths_share_no_word(keys: dict[str, StudyKey]) -> None:
    binding = bind(listing(keys))
    streams = [
        mask(keys["BE"], "BE", binding, 100),
        mask(keys["BE"], "BE", binding, 200)[:100],
        mask(keys["BE"], "BE", replace(binding, attempt=4), 100),
        mask(keys["BE"], "BE", replace(binding, round=4), 100),
        mask(keys["GR"], "GR", binding, 100),
    ]
    assert len({int(word) for stream in streams for word in stream}) == 100 * len(streams)


def test_after_a_restart_nothing_of_the_keystream_comes_back(keys: dict[str, StudyKey]) -> None:
    before = mask(keys["BE"], "BE", bind(listing(keys)), 100)
    keys["BE"] = StudyKey.generate()
    after = mask(keys["BE"], "BE", bind(listing(keys)), 100)
    assert not set(before.tolist()) & set(after.tolist())


def chi_square_of_bytes(vector: NDArray[np.uint64]) -> list[float]:
    """For each of the eight bytes of a word, how unevenly its 256 values occur: 255 degrees of freedom."""
    columns = vector.astype("<u8").view(np.uint8).reshape(-1, 8).T
    expected = vector.size / 256
    return [
        float(((np.bincount(column, minlength=256) - expected) ** 2 / expected).sum()) for column in columns
    ]


def test_one_masked_vector_of_a_million_coordinates_looks_random(keys: dict[str, StudyKey]) -> None:
    dimension = 1_000_000
    binding = bind(listing(keys))
    source = np.random.default_rng(7)
    values = {node: source.integers(-500, 500, dimension, np.int64) for node in NODES}
    vectors = masked_vectors(keys, dict.fromkeys(NODES, binding), values)
    low, high = chi2.isf([1 - FALSE_ALARM / 48, FALSE_ALARM / 48], df=255)
    for node in NODES:  # 3 x 8 statistics, two tails each
        assert all(low < statistic < high for statistic in chi_square_of_bytes(vectors[node]))
        assert all(statistic > high for statistic in chi_square_of_bytes(values[node].view(np.uint64)))
    assert (add_up(list(vectors.values())) == sum(values.values())).all()


def code_of(participants: Sequence[tuple[str, str]], **changed: Any) -> str:
    with pytest.raises(PeerError) as caught:
        bind(participants, **changed)
    return caught.value.code


def test_a_list_of_participants_that_could_be_a_trick_is_refused(keys: dict[str, StudyKey]) -> None:
    be, gr, ro = listing(keys)
    assert code_of([]) == "too-few-participants"
    assert code_of([be]) == "too-few-participants"
    assert code_of([be, gr, ("GR", ro[1])]) == "duplicate-node"
    assert code_of([be, gr, ("RO", gr[1])]) == "duplicate-key"
    assert code_of([gr, be]) == "unsorted-participants"
    assert code_of([be, gr, ("RO", gr[1].upper())]) == "malformed-masking"
    high_bit = (int.from_bytes(bytes.fromhex(gr[1]), "little") | 1 << 255).to_bytes(32, "little").hex()
    assert code_of([be, gr, ("RO", high_bit)]) == "malformed-masking"


@pytest.mark.parametrize(
    "changed",
    [
        {"protocol": -1},
        {"round": True},
        {"attempt": 2**31},
        {"round": 1.0},
        {"manifest_hash": ""},
        {"roster_hash": "0B" * 32},
        {"broadcast_hash": "0c" * 31},
    ],
)
def test_a_malformed_binding_is_refused(keys: dict[str, StudyKey], changed: dict[str, Any]) -> None:
    assert code_of(listing(keys), **changed) == "malformed-masking"


def test_a_colluder_with_an_honest_nodes_key_does_not_make_keystreams_cancel() -> None:
    """GR adds the keystream of RO and subtracts that of BG: were they equal, its data would go unmasked."""
    own, honest = StudyKey.generate(), StudyKey.generate()
    participants = (("BG", honest.public), ("GR", own.public), ("RO", honest.public))
    assert code_of(participants) == "duplicate-key"
    careless = unchecked(bind(listing({"GR": own, "RO": honest})), participants)
    assert looks_random(mask(own, "GR", careless, 1000).view(np.int64))


def test_a_node_that_is_not_listed_with_its_own_key_sends_nothing(keys: dict[str, StudyKey]) -> None:
    binding = bind(listing(keys))
    for key, node in ((StudyKey.generate(), "BE"), (keys["BE"], "GR"), (keys["BE"], "SE")):
        with pytest.raises(PeerError, match="foreign-key"):
            mask(key, node, binding, 10)


@pytest.mark.parametrize("u", [0, 1, 2**255 - 20])
def test_a_participant_whose_key_hides_nothing_stops_the_attempt(keys: dict[str, StudyKey], u: int) -> None:
    weak = u.to_bytes(32, "little").hex()
    with pytest.raises(PeerError, match="zero-secret"):
        mask(keys["BE"], "BE", bind([*listing(keys), ("SE", weak)]), 10)


@pytest.mark.parametrize("dimension", [0, -1])
def test_a_mask_of_nothing_is_a_defect(keys: dict[str, StudyKey], dimension: int) -> None:
    with pytest.raises(DefectError, match="mask-dimension"):
        mask(keys["BE"], "BE", bind(listing(keys)), dimension)
