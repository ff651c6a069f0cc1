"""Model files: what goes in comes out, and nothing that is wrong goes through."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from safetensors import numpy as safetensors

from model_samples import TODAY, manifest, small
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study import canonical, model_file, model_statement
from safeborders_fed.study.model_file import Head
from safeborders_fed.study.model_statement import Statement, sign

ENTRY = "safeborders.model"
Content = dict[str, Any]


def _head(**changes: Any) -> Head:
    made, release = small()
    content = {
        "schema_version": 1,
        "kind": release.kind,
        "name": "detection",
        "version": 1,
        "study": made.id,
        "manifest_hash": made.hash(),
        "facts": release.facts,
        "parameters": made.parameters,
        "contract_version": "1",
        "software_version": "0.1.0",
        "created": TODAY,
        "card_hash": None,
    }
    return Head(**{**content, **changes})


DATA = model_file.write(_head(), small()[1].arrays)


def _rebuilt(
    change: Callable[[Content], None] = lambda _: None,
    arrays: dict[str, np.ndarray[Any, Any]] | None = None,
    metadata: dict[str, str] | None = None,
) -> bytes:
    """The sample file with some of it changed, by means that the writer does not have."""
    head = _head().model_dump(mode="json")
    change(head)
    text = canonical.serialise(head).decode()
    return safetensors.save({**small()[1].arrays, **(arrays or {})}, metadata or {ENTRY: text})


def test_what_was_written_is_read() -> None:
    made, release = small()
    model = model_file.read(DATA)
    assert model.head.id == ("detection", 1)
    assert str(model.head.id) == "detection-1"
    assert model.release.kind == release.kind
    assert model.release.facts == release.facts
    assert all(np.array_equal(model.arrays[name], array) for name, array in release.arrays.items())
    assert (model.head.manifest_hash, model.head.parameters) == (made.hash(), made.parameters)
    assert model.sha256 == canonical.sha256(DATA)


def test_the_same_model_is_the_same_bytes() -> None:
    assert model_file.write(_head(), dict(reversed(small()[1].arrays.items()))) == DATA


def _without(name: str) -> Callable[[Content], None]:
    return lambda head: head.pop(name)


def _with(**values: Any) -> Callable[[Content], None]:
    return lambda head: head.update(values)


def _fact(**values: Any) -> Callable[[Content], None]:
    return lambda head: head["facts"].update(values)


def _parameter(**values: Any) -> Callable[[Content], None]:
    return lambda head: head["parameters"].update(values)


NOT_FINITE = small()[1].arrays["weights"].copy()
NOT_FINITE[3] = np.nan
BAD = {
    "unknown key": (_rebuilt(_with(extra=1)), "model-malformed"),
    "missing key": (_rebuilt(_without("study")), "model-malformed"),
    "another schema": (_rebuilt(_with(schema_version=2)), "model-malformed"),
    "a text for a version": (_rebuilt(_with(version="1")), "model-malformed"),
    "a name that is a path": (_rebuilt(_with(name="../x")), "model-malformed"),
    "further metadata": (_rebuilt(metadata={ENTRY: "{}", "x": "y"}), "model-malformed"),
    "no metadata of ours": (_rebuilt(metadata={"format": "np"}), "model-malformed"),
    "metadata in another form": (_rebuilt(metadata={ENTRY: '{ "kind": 1}'}), "model-malformed"),
    "another contract": (_rebuilt(_with(contract_version="2")), "model-contract-version"),
    "an unknown kind": (_rebuilt(_with(kind="forest")), "unknown-model-kind"),
    "a kind that scores nothing": (_rebuilt(_with(kind="trends")), "unknown-model-kind"),
    "an unknown parameter": (_rebuilt(_parameter(depth=3)), "model-parameters"),
    "a wrong parameter": (_rebuilt(_parameter(rounds=0)), "model-parameters"),
    "a label about a suspect": (_rebuilt(_parameter(target="exploiter:Group")), "label-about-suspect"),
    "another label in its facts": (_rebuilt(_fact(target="form:ForcedLabour")), "model-inconsistent"),
    "columns of another contract": (_rebuilt(_fact(columns=["sex=Feminine"])), "model-inconsistent"),
    "no count of victims": (_rebuilt(_fact(labelled_noisy=None)), "model-inconsistent"),
    "half a calibration": (_rebuilt(_fact(calibration={"slope": 1.0})), "model-inconsistent"),
    "a wrong shape": (_rebuilt(arrays={"weights": np.zeros(3)}), "model-arrays"),
    "a wrong number of axes": (_rebuilt(arrays={"weights": np.zeros((42, 1))}), "model-arrays"),
    "single precision": (_rebuilt(arrays={"weights": np.zeros(42, np.float32)}), "model-arrays"),
    "an unknown array": (_rebuilt(arrays={"x": np.zeros(1)}), "model-arrays"),
    "not a number": (_rebuilt(arrays={"weights": NOT_FINITE}), "model-not-finite"),
    "infinite": (_rebuilt(arrays={"centre": np.full(41, np.inf)}), "model-not-finite"),
    "a share above 1": (_rebuilt(arrays={"centre": np.full(41, 1.5)}), "model-arrays"),
    "a pickle": (pickle.dumps({"weights": [1.0]}), "model-malformed"),
    "nothing": (b"", "model-malformed"),
    "cut short": (DATA[:-1], "model-malformed"),
    "cut in the header": (DATA[:100], "model-malformed"),
    "bytes behind": (DATA + b"\0", "model-malformed"),
    "a header that claims to be endless": (b"\xff" * 8 + DATA[8:], "model-malformed"),
    "too large": (bytes(model_file.LARGEST + 1), "model-too-large"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_its_own_error(name: str) -> None:
    data, code = BAD[name]
    with pytest.raises((PeerError, RefusedError)) as found:
        model_file.read(data)
    assert found.value.code == code
    assert found.value.cause
    assert found.value.fix


def test_a_missing_array_is_named() -> None:
    text = canonical.serialise(_head().model_dump(mode="json")).decode()
    data = safetensors.save({"centre": small()[1].arrays["centre"]}, {ENTRY: text})
    with pytest.raises(PeerError, match="'weights' is missing"):
        model_file.read(data)


def test_overlapping_arrays_are_refused() -> None:
    size = int.from_bytes(DATA[:8], "little")
    header = json.loads(DATA[8 : 8 + size])
    header["weights"]["data_offsets"] = [0, 8 * 42]
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    with pytest.raises(PeerError) as found:
        model_file.read(len(text).to_bytes(8, "little") + text + DATA[8 + size :])
    assert found.value.code == "model-malformed"


def test_a_model_that_could_not_be_read_is_not_written() -> None:
    with pytest.raises(RefusedError) as found:
        model_file.write(_head(contract_version="0"), small()[1].arrays)
    assert found.value.code == "model-contract-version"


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_code(noise: bytes) -> None:
    with pytest.raises(SafeBordersError):
        model_file.read(noise)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_altered_bytes_give_a_finite_model_or_a_coded_error(place: int, change: int) -> None:
    altered = bytearray(DATA)
    altered[place] ^= change
    try:
        model = model_file.read(bytes(altered))
    except SafeBordersError:
        return
    assert all(np.isfinite(array).all() for array in model.arrays.values())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.safetensors"):
        model_file.load(tmp_path / "no.safetensors")


def test_a_model_is_read_without_flower_and_torch(tmp_path: Path) -> None:
    path = tmp_path / "detection-1.safetensors"
    path.write_bytes(DATA)
    program = (
        "import sys; from pathlib import Path; from safeborders_fed.study import model_file;"
        "model = model_file.load(Path(sys.argv[1]));"
        "bad = {'flwr', 'torch', 'opacus', 'safetensors.torch'} & set(sys.modules);"
        "sys.exit(f'imported: {bad}' if bad or model.head.name != 'detection' else 0)"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(3)]
PUBLIC = [public_hex(key) for key in KEYS]
STATEMENT = Statement(
    action="release", name="detection", version=1, sha256="ab" * 32, day=TODAY, reason="Because."
)
ONE = sign(STATEMENT, KEYS[0], "Ana")
BOTH = sign(STATEMENT, KEYS[1], "Bo", ONE)


def test_two_people_sign_one_statement() -> None:
    signed = model_statement.parse(BOTH.to_bytes())
    signed.check(PUBLIC[:2], 2)
    signed.check(PUBLIC, 1)
    assert [entry.by for entry in signed.signatures] == ["Ana", "Bo"]


@pytest.mark.parametrize(
    ("pinned", "needed"), [([PUBLIC[2]], 1), (PUBLIC[1:], 2), ([PUBLIC[0]] * 2, 2), ([], 1)]
)
def test_strangers_and_too_few_are_refused(pinned: list[str], needed: int) -> None:
    with pytest.raises(PeerError) as found:
        BOTH.check(pinned, needed)
    assert found.value.code == "wrong-operator"


def test_nobody_signs_twice() -> None:
    with pytest.raises(RefusedError) as found:
        sign(STATEMENT, KEYS[0], "Ana again", BOTH)
    assert found.value.code == "signed-already"
    twice = BOTH.model_copy(update={"signatures": ONE.signatures * 2})
    with pytest.raises(PeerError, match="signed twice"):
        model_statement.parse(twice.to_bytes())


def test_nobody_signs_another_statement_together() -> None:
    with pytest.raises(RefusedError) as found:
        sign(STATEMENT.model_copy(update={"reason": "Other."}), KEYS[2], "Cy", ONE)
    assert found.value.code == "another-statement"


def test_a_signature_that_is_not_needed_must_still_be_right() -> None:
    wrong = BOTH.signatures[1].model_copy(update={"by": "Somebody else"})
    forged = BOTH.model_copy(update={"signatures": (BOTH.signatures[0], wrong)})
    with pytest.raises(PeerError) as found:
        forged.check([PUBLIC[0]], 1)
    assert found.value.code == "bad-signature"


def test_a_statement_altered_at_any_byte_is_refused() -> None:
    data = BOTH.to_bytes()
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(PeerError):
            model_statement.parse(bytes(altered)).check(PUBLIC[:2], 2)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", BOTH.to_bytes() + b" ", b"x" * 70_000])
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError) as found:
        model_statement.parse(data)
    assert found.value.code == "bad-statement"


def test_a_study_about_suspects_cannot_even_be_drafted() -> None:
    with pytest.raises(RefusedError) as found:
        manifest(target="exploiter:Group")
    assert found.value.code == "label-about-suspect"
