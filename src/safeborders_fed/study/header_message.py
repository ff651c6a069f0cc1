"""Messages that are a header and nothing else: fields, no arrays.

Guarantees: strict models. What is not exactly the fields of a type is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.study import canonical, wire

_OF_THE_WIRE = frozenset({"protocol", "arrays"})


class HeaderMessage(BaseModel):
    """A message whose fields all stand in its header."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    def encode(self) -> bytes:
        """The bytes of the message."""
        return wire.encode(self.model_dump(mode="json"), {})


def from_header(kinds: Mapping[str, type[HeaderMessage]], header: Mapping[str, Any]) -> HeaderMessage:
    """The message of a header whose ``type`` is one of ``kinds``.

    Raises:
        ValueError: the fields are not those of the type.
    """
    fields = {name: value for name, value in header.items() if name not in _OF_THE_WIRE}
    try:
        # From JSON text: strict models take lists as tuples there only.
        return kinds[header["type"]].model_validate_json(canonical.serialise(fields))
    except ValidationError as error:
        raise ValueError("fields") from error
