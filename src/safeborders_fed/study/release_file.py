"""The release of a study as a document: what the coordinator publishes and every node keeps.

Guarantees: canonical JSON, so that its hash means one thing; every number comes back exactly as it was;
numbers that are not finite are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.analyses.base import Release
from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Identifier, Manifest
from safeborders_fed.study.roster import Digest

_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class _Array(BaseModel):
    model_config = _STRICT

    shape: tuple[Annotated[int, Limit(ge=0)], ...]
    values: tuple[float, ...]


class _Document(BaseModel):
    model_config = _STRICT

    schema_version: Literal[1]
    study: Identifier
    manifest_hash: Digest
    kind: Identifier
    facts: dict[str, Any]
    arrays: dict[str, _Array]


@dataclass(frozen=True)
class Published:
    """A release, and the study that it is of."""

    study: str
    manifest_hash: str
    release: Release


def to_bytes(release: Release, manifest: Manifest) -> bytes:
    """The document of a release.

    Raises:
        DefectError: ``release-not-finite``.
    """
    arrays = {
        name: {"shape": list(array.shape), "values": array.astype(np.float64).ravel().tolist()}
        for name, array in release.arrays.items()
    }
    content = {
        "schema_version": 1,
        "study": manifest.id,
        "manifest_hash": manifest.hash(),
        "kind": release.kind,
        "facts": release.facts,
        "arrays": arrays,
    }
    try:
        return canonical.serialise(content)
    except ValueError as error:
        raise DefectError(
            "release-not-finite",
            f"the release of study {manifest.id!r} holds a number that is not finite",
            "report this; nothing was published",
        ) from error


def from_bytes(data: bytes) -> Published:
    """The release of a document.

    Raises:
        PeerError: ``not-canonical`` or ``bad-release``.
    """
    canonical.parse(data)
    try:
        found = _Document.model_validate_json(data)
        arrays = {
            name: np.array(array.values, dtype=np.float64).reshape(array.shape)
            for name, array in found.arrays.items()
        }
    except (ValidationError, ValueError) as error:
        raise PeerError(
            "bad-release", "this is not the release of a study", "ask the coordinator's operator for it again"
        ) from error
    return Published(found.study, found.manifest_hash, Release(found.kind, found.facts, arrays))
