from __future__ import annotations

import hmac
import math
from dataclasses import replace
from itertools import combinations, permutations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from link_keys import NODES, Keyed
from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.links.pairs import PairKeys, bucket
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import Said

TOKEN, OTHER_TOKEN = bytes(range(32)), bytes(32)
HERE, THERE = b"h" * 16, b"t" * 16


@pytest.fixture(scope="module")
def keyed() -> Keyed:
    return Keyed()


@pytest.fixture(scope="module")
def keys(keyed: Keyed) -> KeySet:
    return keyed.pin()


@pytest.fixture(scope="module")
def both(keyed: Keyed, keys: KeySet) -> tuple[PairKeys, PairKeys]:
    return derived(keyed, keys, "BE", "BG"), derived(keyed, keys, "BG", "BE")


def derived(keyed: Keyed, keys: KeySet, own: str, partner: str) -> PairKeys:
    return PairKeys.derive(keyed.secrets[own], keys, own, partner)


def everything(pair: PairKeys) -> list[bytes]:
    """What a pair makes of the same input, for each use."""
    return [
        pair.tag(TOKEN),
        pair.check(TOKEN, pair.own, HERE, THERE),
        *pair.canaries("e1", 2),
        pair._letter,
    ]


def with_pair_key(keys: KeySet, node: str, pair_key: str) -> KeySet:
    """A key set as no check would let it pass."""
    shares = []
    for said in keys.shares:
        content = canonical.parse(said.text.encode())
        if said.node == node:
            content["pair_key"] = pair_key
        shares.append(said.model_copy(update={"text": canonical.serialise(content).decode()}))
    return KeySet._of([Said.model_validate(each.model_dump()) for each in shares])


def test_both_states_of_a_pair_have_the_same_keys(both: tuple[PairKeys, PairKeys]) -> None:
    one, other = both

    assert one.tag(TOKEN) == other.tag(TOKEN)
    assert one.tag(TOKEN) != one.tag(OTHER_TOKEN)
    assert one.check(TOKEN, "BE", HERE, THERE) == other.check(TOKEN, "BE", HERE, THERE)
    assert one.canaries("e1", 4) == other.canaries("e1", 4)
    assert other.open("e1", "BE", one.seal("e1", "BE", b"yes")) == b"yes"
    assert one.open("e1", "BG", other.seal("e1", "BG", b"no")) == b"no"


def test_nothing_is_equal_across_pairs(keyed: Keyed, keys: KeySet) -> None:
    made = [everything(derived(keyed, keys, *pair)) for pair in combinations(NODES, 2)]
    flat = [each for several in made for each in several]

    assert len(flat) == len(set(flat))


def test_nothing_is_equal_across_key_sets_of_the_same_pair_keys(keyed: Keyed, keys: KeySet) -> None:
    here = everything(derived(keyed, keys, "BE", "BG"))
    third = Keyed()
    third.signing, third.accepted = keyed.signing, keyed.accepted
    third.secrets = {**keyed.secrets, "GR": third.secrets["GR"]}
    for node in NODES:
        third.replace(node)
    later = replace(keys, epoch="2027")

    for other in (third.pin(), later):
        assert not set(here) & set(everything(derived(keyed, other, "BE", "BG")))


def test_each_use_has_a_key_of_its_own(both: tuple[PairKeys, PairKeys]) -> None:
    one, _ = both

    assert len({one._tag, one._check, one._canary, one._letter}) == 4


def test_a_check_is_no_tag_and_no_canary(both: tuple[PairKeys, PairKeys]) -> None:
    made = everything(both[0])
    prefixes = {each[:16] for each in made}

    assert len(prefixes) == len(made)


def test_a_check_convinces_the_partner_only_of_what_it_covers(both: tuple[PairKeys, PairKeys]) -> None:
    one, other = both
    check = one.check(TOKEN, "BE", HERE, THERE)

    assert other.is_check(check, TOKEN, THERE, HERE)
    assert not other.is_check(check, OTHER_TOKEN, THERE, HERE)
    assert not other.is_check(check, TOKEN, HERE, THERE)
    assert not other.is_check(check, TOKEN, THERE, b"x" * 16)
    assert not other.is_check(check, TOKEN, b"x" * 16, HERE)
    for bad in (check[:-1], check[:16], b"", check + b"\0", bytes(32)):
        assert not other.is_check(bad, TOKEN, THERE, HERE)


def test_a_check_that_is_sent_back_convinces_nobody(both: tuple[PairKeys, PairKeys]) -> None:
    one, _ = both
    for handles in ((HERE, THERE), (HERE, HERE)):
        for mine, theirs in permutations(handles):
            check = one.check(TOKEN, "BE", mine, theirs)
            assert not one.is_check(check, TOKEN, mine, theirs)
            assert not one.is_check(check, TOKEN, theirs, mine)


def test_a_check_of_another_pair_convinces_nobody(keyed: Keyed, keys: KeySet) -> None:
    check = derived(keyed, keys, "GR", "BE").check(TOKEN, "GR", HERE, THERE)

    assert derived(keyed, keys, "BE", "GR").is_check(check, TOKEN, THERE, HERE)
    assert not derived(keyed, keys, "BE", "BG").is_check(check, TOKEN, THERE, HERE)


def test_checks_are_compared_in_constant_time(
    both: tuple[PairKeys, PairKeys], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return True

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert both[1].is_check(bytes(32), TOKEN, THERE, HERE), "nothing but this comparison decides"
    assert len(compared) == 1


def test_a_third_state_is_none_of_the_pair(both: tuple[PairKeys, PairKeys]) -> None:
    for attempt in (
        lambda: both[0].check(TOKEN, "GR", HERE, THERE),
        lambda: both[0].seal("e1", "GR", b""),
        lambda: both[0].open("e1", "GR", b""),
    ):
        with pytest.raises(DefectError, match="wrong-pair"):
            attempt()


def test_keys_come_from_secrets_of_this_set_and_two_states(keyed: Keyed, keys: KeySet) -> None:
    for own, partner, secrets in (("BE", "BE", "BE"), ("BE", "BG", "BG"), ("BE", "BG", "GR")):
        with pytest.raises(DefectError, match="wrong-pair"):
            PairKeys.derive(keyed.secrets[secrets], keys, own, partner)


@pytest.mark.parametrize(
    "pair_key", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f"]
)
def test_a_key_that_makes_the_secret_zero_is_refused(keyed: Keyed, keys: KeySet, pair_key: str) -> None:
    with pytest.raises(PeerError, match=r"BG has a key for pairs that would hide nothing.*wrong-pair-key"):
        derived(keyed, with_pair_key(keys, "BG", pair_key), "BE", "BG")


def test_the_own_key_as_the_partners_is_refused(keyed: Keyed, keys: KeySet) -> None:
    with pytest.raises(PeerError, match=r"BG has this node's own key for pairs.*wrong-pair-key"):
        derived(keyed, with_pair_key(keys, "BG", keys.pair_key("BE")), "BE", "BG")


def test_a_key_of_somebody_in_the_middle_gives_other_tags(keyed: Keyed, keys: KeySet) -> None:
    middle = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    one = derived(keyed, with_pair_key(keys, "BG", middle), "BE", "BG")

    assert one.tag(TOKEN) != derived(keyed, keys, "BG", "BE").tag(TOKEN)


def test_canaries_differ_by_exchange_and_from_each_other(both: tuple[PairKeys, PairKeys]) -> None:
    made = both[0].canaries("e1", 8) + both[0].canaries("e2", 8)

    assert len(set(made)) == 16
    assert both[0].canaries("e1", 3) == both[0].canaries("e1", 8)[:3]
    assert {len(each) for each in made} == {len(both[0].tag(TOKEN))}


@pytest.mark.parametrize("token", [b"", TOKEN[:31], TOKEN + b"\0"])
def test_a_token_has_32_bytes(both: tuple[PairKeys, PairKeys], token: bytes) -> None:
    for attempt in (
        lambda: both[0].tag(token),
        lambda: both[0].check(token, "BE", HERE, THERE),
    ):
        with pytest.raises(DefectError, match="wrong-length"):
            attempt()


def test_no_key_stands_in_the_text_of_a_pair(both: tuple[PairKeys, PairKeys]) -> None:
    assert repr(both[0]) == "PairKeys(own='BE', partner='BG')"


def test_buckets_are_powers_of_two_from_64() -> None:
    for count in range(1_100):
        size = bucket(count)
        assert size >= max(count, 64)
        assert math.log2(size).is_integer()
        assert size == 64 or size < 2 * count
