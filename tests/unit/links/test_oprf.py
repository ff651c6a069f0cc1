from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.links import oprf, ristretto

# RFC 9497, appendix A.1.2: VOPRF, ristretto255-SHA512.
SECRET = bytes.fromhex("e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909")
PUBLIC = bytes.fromhex("c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e")
ONE, OTHER = bytes(1), bytes([0x5A]) * 17
BLIND = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706"
NONCE = "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e"
OUTPUT_OF_ONE = (
    "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d"
    "a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c"
)
OUTPUT_OF_OTHER = (
    "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60"
    "356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6"
)


@dataclass(frozen=True)
class Vector:
    inputs: list[bytes]
    blinds: list[str]
    points: list[str]
    evaluated: list[str]
    proof: str
    nonce: str
    outputs: list[str]


FIRST = Vector(
    inputs=[ONE],
    blinds=[BLIND],
    points=["863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945"],
    evaluated=["aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e"],
    proof=(
        "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06"
        "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d"
    ),
    nonce=NONCE,
    outputs=[OUTPUT_OF_ONE],
)
SECOND = Vector(
    inputs=[OTHER],
    blinds=[BLIND],
    points=["cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c"],
    evaluated=["60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468"],
    proof=(
        "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a"
        "67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02"
    ),
    nonce=NONCE,
    outputs=[OUTPUT_OF_OTHER],
)
BATCH = Vector(
    inputs=[ONE, OTHER],
    blinds=[BLIND, NONCE],
    points=[
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
    ],
    evaluated=[
        "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
        "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
    ],
    proof=(
        "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a"
        "5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08"
    ),
    nonce="419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c",
    outputs=[OUTPUT_OF_ONE, OUTPUT_OF_OTHER],
)


@pytest.mark.parametrize("vector", [FIRST, SECOND, BATCH])
def test_the_vectors_of_the_rfc(vector: Vector) -> None:
    blinded = [
        oprf.blind(data, bytes.fromhex(scalar))
        for data, scalar in zip(vector.inputs, vector.blinds, strict=True)
    ]
    asked = [each.point for each in blinded]
    shares = oprf.evaluate(SECRET, asked)
    made = oprf.prove(SECRET, PUBLIC, asked, shares, bytes.fromhex(vector.nonce))
    found = [
        oprf.finalize(data, each.scalar, share).hex()
        for data, each, share in zip(vector.inputs, blinded, shares, strict=True)
    ]

    assert ristretto.base(SECRET) == PUBLIC
    assert [each.hex() for each in asked] == vector.points
    assert [each.hex() for each in shares] == vector.evaluated
    assert made.hex() == vector.proof
    assert oprf.verify(PUBLIC, asked, shares, made)
    assert found == vector.outputs


def summed(scalars: list[bytes]) -> bytes:
    return reduce(ristretto.scalar_add, scalars)


@settings(max_examples=25, deadline=None)
@given(nodes=st.integers(1, 5), data=st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_shares_add_up_to_the_output_of_the_summed_key_whatever_the_blind(
    nodes: int, data: list[bytes]
) -> None:
    secrets = [ristretto.random_scalar() for _ in range(nodes)]
    whole = summed(secrets)
    blinded = [oprf.blind(each) for each in data]
    combined = oprf.combine([oprf.evaluate(secret, [b.point for b in blinded]) for secret in secrets])
    for each, first, point in zip(data, blinded, combined, strict=True):
        again = oprf.blind(each)
        alone = oprf.finalize(each, again.scalar, oprf.evaluate(whole, [again.point])[0])
        assert again.point != first.point
        assert oprf.finalize(each, first.scalar, point) == alone


@dataclass(frozen=True)
class Answered:
    """Four points, a node's shares of them and its proof."""

    secret: bytes
    public: bytes
    points: list[bytes]
    shares: list[bytes]
    proof: bytes

    def holds(self, **changes: object) -> bool:
        changed = replace(self, **changes)
        return oprf.verify(changed.public, changed.points, changed.shares, changed.proof)


@pytest.fixture
def answered() -> Answered:
    secret = ristretto.random_scalar()
    public = ristretto.base(secret)
    points = [oprf.blind(f"{number}".encode()).point for number in range(4)]
    shares = oprf.evaluate(secret, points)
    return Answered(secret, public, points, shares, oprf.prove(secret, public, points, shares))


def swapped(rows: list[bytes]) -> list[bytes]:
    return [rows[1], rows[0], *rows[2:]]


def scalar(number: int) -> bytes:
    return number.to_bytes(32, "little")


def shifted(point: bytes, by: bytes = ristretto.ONE) -> bytes:
    return ristretto.add(point, ristretto.base(by))


def test_an_honest_answer_holds(answered: Answered) -> None:
    assert answered.holds()


def test_shares_of_another_key_are_refused(answered: Answered) -> None:
    other = ristretto.random_scalar()
    shares = oprf.evaluate(other, answered.points)
    public = ristretto.base(other)

    assert not answered.holds(shares=shares)
    assert not answered.holds(shares=shares, proof=oprf.prove(other, public, answered.points, shares))
    claimed = oprf.prove(other, answered.public, answered.points, shares)
    assert not answered.holds(shares=shares, proof=claimed)
    assert not answered.holds(public=public)


def test_swapped_shares_are_refused(answered: Answered) -> None:
    shares = swapped(answered.shares)
    proof = oprf.prove(answered.secret, answered.public, answered.points, shares)

    assert not answered.holds(shares=shares)
    assert not answered.holds(shares=shares, proof=proof)


def test_one_altered_share_among_many_is_refused(answered: Answered) -> None:
    for number in range(len(answered.shares)):
        shares = [shifted(s) if number == at else s for at, s in enumerate(answered.shares)]
        proof = oprf.prove(answered.secret, answered.public, answered.points, shares)
        assert not answered.holds(shares=shares)
        assert not answered.holds(shares=shares, proof=proof)


def test_errors_that_cancel_are_refused_as_well(answered: Answered) -> None:
    shares = list(answered.shares)
    shares[0], shares[1] = shifted(shares[0]), ristretto.subtract(shares[1], ristretto.base(ristretto.ONE))
    proof = oprf.prove(answered.secret, answered.public, answered.points, shares)

    assert not answered.holds(shares=shares, proof=proof)


def test_a_verifier_without_weights_would_take_swapped_and_cancelling_shares(
    answered: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oprf, "_weights", lambda _, points, __: [ristretto.ONE] * len(points))
    shares = swapped(answered.shares)
    proof = oprf.prove(answered.secret, answered.public, answered.points, shares)

    assert answered.holds(shares=shares, proof=proof)


def test_weights_fixed_before_the_answer_would_be_an_open_door(
    answered: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = oprf._weights(answered.public, answered.points, answered.points)
    monkeypatch.setattr(oprf, "_weights", lambda *_: fixed)
    offset = ristretto.scalar_multiply(ristretto.invert(fixed[1]), fixed[0])
    shares = list(answered.shares)
    shares[0] = shifted(shares[0])
    shares[1] = ristretto.subtract(shares[1], ristretto.base(offset))
    proof = oprf.prove(answered.secret, answered.public, answered.points, shares)
    accepted = answered.holds(shares=shares, proof=proof)
    monkeypatch.undo()

    assert accepted
    assert not answered.holds(shares=shares, proof=proof)


def test_a_proof_holds_for_its_own_points_only(answered: Answered) -> None:
    others = [oprf.blind(b"other").point, *answered.points[1:]]

    assert not answered.holds(points=others)
    assert not answered.holds(points=others, shares=oprf.evaluate(answered.secret, others))
    assert not answered.holds(points=swapped(answered.points), shares=swapped(answered.shares))
    assert not answered.holds(points=answered.points[:3], shares=answered.shares[:3])
    assert not answered.holds(
        points=[*answered.points, answered.points[0]], shares=[*answered.shares, answered.shares[0]]
    )
    assert not answered.holds(shares=answered.shares[:3])
    assert not answered.holds(points=[], shares=[])


def test_a_proof_has_one_form(answered: Answered, monkeypatch: pytest.MonkeyPatch) -> None:
    challenge, response = answered.proof[:32], answered.proof[32:]
    larger = scalar(int.from_bytes(response, "little") + ristretto.ORDER)
    marked = response[:31] + bytes([response[31] | 0x80])
    for forged in (
        challenge + larger,
        challenge + marked,
        scalar(int.from_bytes(challenge, "little") + ristretto.ORDER) + response,
        answered.proof + b"\0",
        answered.proof[:-1],
        b"",
        bytes(64),
        challenge + bytes(32),
        bytes(32) + response,
        response + challenge,
    ):
        assert not answered.holds(proof=forged)

    monkeypatch.setattr(ristretto, "is_scalar", lambda _: True)
    assert answered.holds(proof=challenge + larger), "without the check the proof would have two forms"


@pytest.mark.parametrize(
    "bad",
    [ristretto.IDENTITY, bytes([1]) + bytes(31), b"\xff" * 32, bytes(31), b""],
    ids=["identity", "negative", "not reduced", "short", "empty"],
)
def test_what_is_no_point_is_refused_wherever_it_stands(answered: Answered, bad: bytes) -> None:
    assert not answered.holds(points=[bad, *answered.points[1:]])
    assert not answered.holds(shares=[bad, *answered.shares[1:]])
    assert not answered.holds(points=[bad, *answered.points[1:]], shares=[bad, *answered.shares[1:]])
    assert not answered.holds(public=bad)
    with pytest.raises(PeerError, match="not-a-point"):
        oprf.evaluate(answered.secret, [*answered.points, bad])
    with pytest.raises(PeerError, match="not-a-point"):
        oprf.finalize(b"x", ristretto.random_scalar(), bad)


def test_shares_that_add_up_to_nothing_make_no_token() -> None:
    one = oprf.blind(b"x")
    opposite = ristretto.subtract(ristretto.IDENTITY, one.point)
    combined = oprf.combine([[one.point], [opposite]])

    with pytest.raises(PeerError, match="not-a-point"):
        oprf.finalize(b"x", one.scalar, combined[0])


def test_batches_that_do_not_fit_together_are_refused(answered: Answered) -> None:
    many = [answered.points[0]] * (oprf.MOST_POINTS + 1)

    assert not answered.holds(points=many, shares=many)
    for points, shares in (([], []), (answered.points, answered.shares[:3]), (many, many)):
        with pytest.raises(DefectError, match="wrong-batch"):
            oprf.prove(answered.secret, answered.public, points, shares)
    for several in ([], [answered.shares, answered.shares[:3]]):
        with pytest.raises(DefectError, match="wrong-batch"):
            oprf.combine(several)


def test_no_two_identifiers_have_one_input() -> None:
    parts = [
        ("2026", "phone", "+32"),
        ("202", "6phone", "+32"),
        ("2026", "phon", "e+32"),
        ("2026", "email", "+32"),
    ]

    assert len({oprf.token_input(*each) for each in parts}) == len(parts)


def test_an_input_that_is_too_long_is_refused() -> None:
    for attempt in (
        lambda: oprf.blind(bytes(oprf.LONGEST_INPUT + 1)),
        lambda: oprf.finalize(bytes(oprf.LONGEST_INPUT + 1), ristretto.ONE, ristretto.base(ristretto.ONE)),
    ):
        with pytest.raises(DefectError, match="input-too-long"):
            attempt()


def test_no_secret_stands_in_the_text_of_what_is_blinded() -> None:
    blinded = oprf.blind(b"x")

    assert repr(blinded.scalar) not in repr(blinded)


def test_without_one_share_the_token_is_another() -> None:
    secrets = [ristretto.random_scalar() for _ in range(3)]
    blinded = oprf.blind(b"x")
    shares = [oprf.evaluate(secret, [blinded.point]) for secret in secrets]
    whole = oprf.finalize(b"x", blinded.scalar, oprf.combine(shares)[0])

    for number in range(3):
        rest = [share for at, share in enumerate(shares) if at != number]
        assert oprf.finalize(b"x", blinded.scalar, oprf.combine(rest)[0]) != whole


def test_one_form_has_another_token_in_each_type_and_epoch_even_under_one_key() -> None:
    secret = ristretto.random_scalar()
    tokens = set()
    for epoch, kind in (("2026", "phone"), ("2026", "handle"), ("2027", "phone")):
        data = oprf.token_input(epoch, kind, "+3221234567")
        blinded = oprf.blind(data)
        tokens.add(oprf.finalize(data, blinded.scalar, oprf.evaluate(secret, [blinded.point])[0])[:32])

    assert len(tokens) == 3


def test_a_share_of_one_type_or_epoch_does_not_pass_for_another(answered: Answered) -> None:
    """Each type and epoch has a key of its own, so the public key is what binds them."""
    of_another = ristretto.random_scalar()
    shares = oprf.evaluate(of_another, answered.points)
    proof = oprf.prove(of_another, ristretto.base(of_another), answered.points, shares)

    assert oprf.verify(ristretto.base(of_another), answered.points, shares, proof)
    assert not answered.holds(shares=shares, proof=proof)


def test_two_proofs_of_one_statement_differ(answered: Answered) -> None:
    """A nonce that came twice would give the key away."""
    again = oprf.prove(answered.secret, answered.public, answered.points, answered.shares)

    assert answered.proof[:32] != again[:32]
    assert answered.holds(proof=again)


_ANY_POINTS = st.lists(st.binary(max_size=40) | st.binary(min_size=32, max_size=32), max_size=3)


@settings(max_examples=200, deadline=None)
@given(public=st.binary(max_size=40), points=_ANY_POINTS, shares=_ANY_POINTS, proof=st.binary(max_size=80))
def test_whatever_bytes_a_node_sends_are_refused_without_an_error(
    public: bytes, points: list[bytes], shares: list[bytes], proof: bytes
) -> None:
    assert not oprf.verify(public, points, shares, proof)
    assert not oprf.verify(PUBLIC, points, shares, proof)
    assert not oprf.verify(PUBLIC, points, points, proof.ljust(64, b"\0")[:64])


@settings(max_examples=50, deadline=None)
@given(at=st.integers(0, 511), where=st.sampled_from(["proof", "share", "point", "public"]))
def test_not_one_bit_may_be_changed(at: int, where: str) -> None:
    points, shares = (
        [bytes.fromhex(each) for each in BATCH.points],
        oprf.evaluate(SECRET, [bytes.fromhex(each) for each in BATCH.points]),
    )
    proof, public = bytes.fromhex(BATCH.proof), PUBLIC

    def turned(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at // 8 % len(data)] ^= 1 << at % 8
        return bytes(changed)

    assert oprf.verify(public, points, shares, proof)
    if where == "proof":
        proof = turned(proof)
    elif where == "share":
        shares = [shares[0], turned(shares[1])]
    elif where == "point":
        points = [turned(points[0]), points[1]]
    else:
        public = turned(public)
    assert not oprf.verify(public, points, shares, proof)
