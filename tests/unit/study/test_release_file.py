"""The document of a release has one byte form and gives every number back."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation_of import study
from safeborders_fed.analyses.base import Release
from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.study import canonical, release_file

MANIFEST = study()
RELEASE = Release(
    "logistic",
    {"target": "actual_victim", "margins": (0.1, 2), "none": None},
    {"weights": np.array([[1.5, -0.0], [1e-300, 2.0**60]]), "empty": np.zeros((0, 3)), "one": np.array(7.0)},
)


def test_a_release_comes_back_as_it_was() -> None:
    found = release_file.from_bytes(release_file.to_bytes(RELEASE, MANIFEST))
    assert (found.study, found.manifest_hash) == (MANIFEST.id, MANIFEST.hash())
    assert found.release.kind == "logistic"
    assert found.release.facts == {"target": "actual_victim", "margins": [0.1, 2], "none": None}
    for name, array in RELEASE.arrays.items():
        assert found.release.arrays[name].tobytes() == array.tobytes()
        assert found.release.arrays[name].shape == array.shape


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8))
def test_every_number_comes_back_to_the_bit(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    data = release_file.to_bytes(Release("trends", {}, {"table": array}), MANIFEST)
    assert release_file.from_bytes(data).release.arrays["table"].tobytes() == array.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_published(value: float) -> None:
    with pytest.raises(DefectError, match="not finite"):
        release_file.to_bytes(Release("trends", {}, {"table": np.array([value])}), MANIFEST)


def changed(**fields: object) -> bytes:
    return canonical.serialise({**json.loads(release_file.to_bytes(RELEASE, MANIFEST)), **fields})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        changed(more=1),
        changed(study="../x"),
        changed(manifest_hash="ab"),
        changed(arrays={"weights": {"shape": [3], "values": [1.0]}}),
        changed(arrays={"weights": {"shape": [-1], "values": [1.0]}}),
        changed(arrays={"weights": {"shape": [1], "values": ["1"]}}),
        json.dumps(json.loads(changed()), indent=1).encode(),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        release_file.from_bytes(data)
