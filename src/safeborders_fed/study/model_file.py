"""Model files: what a study learnt, in one file that any node can check and use without the federation.

A model file is a safetensors file (never pickle): the float64 arrays of a release, and one metadata entry,
``safeborders.model``, whose canonical JSON (``Head``) says what they are. Its SHA-256 is what statements of
release and withdrawal (``model_statement``), manifests and audit logs name it by.

Guarantees:

- ``read`` takes bytes of any origin, at most ``LARGEST`` of them. A model that it returns has exactly the
  arrays that its kind and parameters call for, float64 and finite, under this data contract.
- A model whose target is not a sign of victimhood is no model: it can be neither written nor read.
- Neither Flower nor torch is needed to read one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from safeborders_fed.analyses.base import Arrays, Release
from safeborders_fed.analyses.detection import Detection
from safeborders_fed.analyses.evaluation import beyond_chance
from safeborders_fed.analyses.registry import ANALYSES, build
from safeborders_fed.cases.contract import CONTRACT_VERSION
from safeborders_fed.cases.encoding import bin_names
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.roster import Digest

SUFFIX: Final = ".safetensors"
LARGEST: Final = 64 * 2**20
"""Bytes of a model file at most: a thousand times a linear model."""
_LARGEST_HEADER: Final = 4 * 2**20
_LENGTH_BYTES: Final = 8
_METADATA: Final = "__metadata__"
_ENTRY: Final = "safeborders.model"


class ModelId(NamedTuple):
    """Name and version of a model, written ``NAME-VERSION``."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"


class Head(BaseModel):
    """What a model file says of its arrays.

    Attributes:
        kind: Name of the analysis that learnt it.
        name: What people call the model.
        version: Counts from 1 and grows with each model of the name.
        study: Id of the study that it comes from.
        manifest_hash: Hash of that study's manifest.
        facts: All facts of the release.
        parameters: The parameters of the analysis.
        contract_version: The data contract that its columns follow.
        software_version: What wrote the file.
        created: Day on which the file was written, UTC.
        card_hash: SHA-256 of the JSON of its model card, where it has one.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    schema_version: Literal[1]
    kind: Identifier
    name: Identifier
    version: int = Limit(ge=1, le=999_999)
    study: Identifier
    manifest_hash: Digest
    facts: dict[str, Any]
    parameters: dict[str, Any]
    contract_version: Annotated[str, Limit(min_length=1, max_length=40)]
    software_version: Annotated[str, Limit(min_length=1, max_length=40)]
    created: date
    card_hash: Digest | None

    @property
    def id(self) -> ModelId:
        """Name and version."""
        return ModelId(self.name, self.version)


@dataclass(frozen=True, eq=False)
class Model:
    """A model that was read and checked.

    Attributes:
        head: What it is.
        arrays: float64 arrays with the shapes of ``analysis.learner.model_shapes()``.
        analysis: The analysis with the model's parameters, whose learner scores with the arrays.
        sha256: SHA-256 of the file.
    """

    head: Head
    arrays: Arrays
    analysis: Detection[Any]
    sha256: str

    @property
    def accuracy_known(self) -> bool:
        """Whether the study's evaluation says, with its margin, that the model ranks better than chance."""
        evaluation = self.head.facts.get("evaluation")
        overall = evaluation.get("overall") if isinstance(evaluation, dict) else None
        return isinstance(overall, dict) and beyond_chance(overall.get("auc"), overall.get("margin"))

    @property
    def release(self) -> Release:
        """What the study released."""
        return Release(self.head.kind, self.head.facts, self.arrays)


def fingerprint(arrays: Arrays) -> str:
    """SHA-256 of a model's arrays alone: what a card names a model by, as the file holds the card's hash."""
    return canonical.sha256(safetensors.save(_ordered(arrays)))


def _ordered(arrays: Arrays) -> Arrays:
    return {name: np.ascontiguousarray(arrays[name], dtype="<f8") for name in sorted(arrays)}


def write(head: Head, arrays: Arrays) -> bytes:
    """The bytes of a model file; ``read`` accepts them.

    Raises:
        Whatever ``read`` raises, when the parts do not make a model.
    """
    metadata = {_ENTRY: canonical.serialise(head.model_dump(mode="json")).decode()}
    data = safetensors.save(_ordered(arrays), metadata)
    read(data)
    return data


def load(path: Path) -> Model:
    """The model in a file. Who signed it is not asked here: see ``model_statement``.

    Raises:
        ConfigurationError: ``model-missing``.
        PeerError, RefusedError: As ``read``.
    """
    return read(read_bounded(path, LARGEST))


def read_bounded(path: Path, largest: int) -> bytes:
    """The bytes of a file, one more than ``largest`` at most.

    Raises:
        ConfigurationError: ``model-missing``.
    """
    try:
        with path.open("rb") as file:
            return file.read(largest + 1)
    except OSError as error:
        raise ConfigurationError(
            "model-missing", f"{path} cannot be read: {error.strerror}", "check the path of the file"
        ) from error


def ids_in(directory: Path) -> list[ModelId]:
    """The models whose files a directory holds, by name and version, as their file names say."""
    found = []
    for path in directory.glob(f"*{SUFFIX}"):
        name, _, version = path.name.removesuffix(SUFFIX).rpartition("-")
        if name and version.isascii() and version.isdigit():
            found.append(ModelId(name, int(version)))
    return sorted(found)


def read(data: bytes) -> Model:
    """The model in the bytes of a file.

    Raises:
        PeerError: ``model-too-large``; ``model-malformed`` (no safetensors file, or not with exactly the
            metadata of a model); ``model-arrays`` (missing, unknown, of another shape or type);
            ``model-not-finite``; ``model-parameters``; ``model-inconsistent`` (facts that are not those of
            its parameters under this data contract).
        RefusedError: ``model-contract-version``, ``unknown-model-kind``, ``label-about-suspect``.
    """
    if len(data) > LARGEST:
        raise PeerError(
            "model-too-large",
            f"a model file has at most {LARGEST:,} bytes, and this one has more",
            "ask the coordinator's operator for the file again",
        )
    head, described = _parse(data)
    analysis = _analysis(head)
    _check_facts(head, analysis)
    _check_arrays(described, analysis.learner.model_shapes())
    try:
        arrays: Arrays = safetensors.load(data)
    except SafetensorError as error:
        raise _malformed("its arrays are not where its header says") from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise PeerError(
                "model-not-finite",
                f"the array {name!r} of model {head.id} holds numbers that are not finite",
                "do not use it; tell the coordinator's operator",
            )
    if ((arrays["centre"] < 0) | (arrays["centre"] > 1)).any():
        raise PeerError(
            "model-arrays",
            f"the array 'centre' of model {head.id} holds shares of victims outside 0 to 1",
            "do not use it; tell the coordinator's operator",
        )
    return Model(head, arrays, analysis, canonical.sha256(data))


def _parse(data: bytes) -> tuple[Head, dict[str, Any]]:
    """The head, and what the header says of each array."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if len(data) < _LENGTH_BYTES or length > min(_LARGEST_HEADER, len(data) - _LENGTH_BYTES):
        raise _malformed("it does not begin as a safetensors file does")
    try:
        header = canonical.load(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except PeerError as error:
        raise _malformed("its header is not JSON") from error
    metadata = header.pop(_METADATA, None) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or set(metadata) != {_ENTRY} or not isinstance(metadata[_ENTRY], str):
        raise _malformed(f"its metadata is not the one entry {_ENTRY}")
    try:
        text = metadata[_ENTRY].encode("utf-8")
        canonical.parse(text)
        return Head.model_validate_json(text), header
    except (PeerError, UnicodeEncodeError) as error:
        raise _malformed("its description is not canonical JSON") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise _malformed(f"its description is wrong: {problems}") from error


def _analysis(head: Head) -> Detection[Any]:
    if head.contract_version != CONTRACT_VERSION:
        raise RefusedError(
            "model-contract-version",
            f"model {head.id} is made for data contract {head.contract_version!r}, and this program has "
            f"{CONTRACT_VERSION!r}: its columns would mean something else here",
            "ask for a model of this contract, or use the version of this program that the model is for",
        )
    kind = ANALYSES.get(head.kind)
    if kind is None or not issubclass(kind, Detection):
        raise RefusedError(
            "unknown-model-kind",
            f"model {head.id} is of kind {head.kind!r}, which this program cannot score with",
            "upgrade this program, or use a model of another kind",
        )
    try:
        analysis: Detection[Any] = build(head.kind, head.parameters)  # type: ignore[assignment]  # see above
    except ConfigurationError as error:
        raise PeerError(
            "model-parameters", f"model {head.id}: {error.cause}", "ask the coordinator's operator"
        ) from error
    return analysis


def _check_facts(head: Head, analysis: Detection[Any]) -> None:
    """Facts that scores are put into words by must follow from the parameters."""
    parameters, facts = analysis.parameters, head.facts
    columns = [f"{entry.name}={name}" for entry, _ in analysis.column_fields() for name in bin_names(entry)]
    expected = {
        "target": parameters.target,
        "population": parameters.population,
        "features": list(parameters.features),
        "columns": columns,
    }
    wrong = [name for name, value in expected.items() if facts.get(name) != value]
    wrong += [name for name in ("labelled_noisy", "positives_noisy") if not _is_number(facts.get(name))]
    calibration = facts.get("calibration")
    if calibration is not None and not (
        isinstance(calibration, dict)
        and _is_number(calibration.get("slope"))
        and _is_number(calibration.get("intercept"))
    ):
        wrong.append("calibration")
    if wrong:
        raise PeerError(
            "model-inconsistent",
            f"facts of model {head.id} contradict its parameters or this data contract: {', '.join(wrong)}",
            "do not use it; tell the coordinator's operator",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_arrays(described: dict[str, Any], expected: dict[str, tuple[int, ...]]) -> None:
    for name in sorted(described.keys() | expected.keys()):
        entry, shape = described.get(name), expected.get(name)
        if not isinstance(entry, dict) or shape is None:
            what = "is missing" if entry is None else "does not belong to a model of its kind"
        elif entry.get("dtype") != "F64":
            what = f"is of type {str(entry.get('dtype'))[:20]!r} instead of 'F64'"
        elif entry.get("shape") != list(shape):
            what = f"has shape {str(entry.get('shape'))[:60]} instead of {list(shape)}"
        else:
            continue
        raise PeerError(
            "model-arrays",
            f"the model's array {name[:60]!r} {what}",
            "do not use it; tell the coordinator's operator",
        )


def _malformed(why: str) -> PeerError:
    return PeerError(
        "model-malformed",
        f"this is not a model file: {why}",
        "ask the coordinator's operator for the file again",
    )
