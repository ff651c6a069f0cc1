"""The bill of materials of a bundle: CycloneDX 1.6, JSON, from the wheels themselves.

Guarantees: every wheel is one component with its SHA-256, its licence as its own metadata states it, and the
components that it needs; the same wheels give the same bytes (no time and no random number in it); what is
returned has passed the specification's schema.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from safeborders_fed.errors import DataError, DefectError

_NAMESPACE: Final = uuid.UUID("6f1f2d4e-6c0f-5a0b-9d1e-5f3a5b1c7e01")
_LONGEST_LICENCE: Final = 100


@dataclass(frozen=True)
class Wheel:
    """One wheel file: what it is and what it says of itself."""

    path: Path
    name: str
    version: str
    sha256: str
    metadata: Message

    @property
    def reference(self) -> str:
        """Its package URL, without the build's local suffix: the registry knows none."""
        return f"pkg:pypi/{self.name}@{self.version.partition('+')[0]}"

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """Reads a wheel's metadata.

        Raises:
            DataError: ``bad-wheel``.
        """
        try:
            content = path.read_bytes()
            with ZipFile(path) as archive:
                (name,) = (
                    n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1
                )
                metadata = BytesHeaderParser().parsebytes(archive.read(name))
            return cls(
                path,
                canonicalize_name(metadata["Name"]),
                metadata["Version"],
                hashlib.sha256(content).hexdigest(),
                metadata,
            )
        except (OSError, BadZipFile, ValueError, TypeError) as error:
            raise DataError(
                "bad-wheel", f"{path.name} is not a wheel: {error}", "remove it, and make the bundle again"
            ) from error


def bill_of_materials(wheels: Sequence[Wheel], main: str) -> bytes:
    """The bill of materials, checked.

    Args:
        wheels: All wheels of the bundle.
        main: Name of the one that the others are there for.

    Raises:
        DefectError: ``bad-sbom``.
    """
    ordered = sorted(wheels, key=lambda wheel: wheel.name)
    named = {wheel.name: wheel for wheel in ordered}
    sums = "\n".join(f"{wheel.sha256} {wheel.name}" for wheel in ordered)
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, sums)}",
        "version": 1,
        "metadata": {"component": _component(named[main], "application")},
        "components": [_component(wheel, "library") for wheel in ordered if wheel.name != main],
        "dependencies": [{"ref": wheel.reference, "dependsOn": _needs(wheel, named)} for wheel in ordered],
    }
    data = (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
    _check(data)
    return data


def _component(wheel: Wheel, kind: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": kind,
        "bom-ref": wheel.reference,
        "name": wheel.name,
        "version": wheel.version,
        "purl": wheel.reference,
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "properties": [{"name": "safeborders:file", "value": wheel.path.name}],
    }
    licence = _licence(wheel.metadata)
    return component | ({"licenses": [licence]} if licence else {})


def _licence(metadata: Message) -> dict[str, Any] | None:
    """What the metadata says: an SPDX expression, or words."""
    if expression := metadata["License-Expression"]:
        return {"expression": expression}
    words = (metadata["License"] or "").strip()
    if not words or "\n" in words or len(words) > _LONGEST_LICENCE:  # some put the whole text there
        classifiers = metadata.get_all("Classifier", [])
        named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
        words = ", ".join(sorted(named))
    return {"license": {"name": words}} if words else None


def _needs(wheel: Wheel, named: dict[str, Wheel]) -> list[str]:
    """The components that a wheel asks for on this machine, its extras included where they are there."""
    extras = ["", *wheel.metadata.get_all("Provides-Extra", [])]
    needed = set()
    for text in wheel.metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras
        )
        if wanted and name in named and name != wheel.name:
            needed.add(named[name].reference)
    return sorted(needed)


def _check(data: bytes) -> None:
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 - only this needs the checker
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    if problem is not None:
        raise DefectError("bad-sbom", f"the bill of materials does not hold: {problem}", "report this")
