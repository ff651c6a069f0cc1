"""How much of the machine one message may take: the table [limits] of ``node.toml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

BundleHash = Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]


class Limits(BaseModel):
    """Limits of the executor.

    Attributes:
        memory_mib: Memory that it may have in all, MiB; 0 for no limit.
        seconds_per_message: Longest time for one answer; then it is ended and started anew.
        bundles: Hashes of app bundles that runs may name besides the one of the installed version. Their code
            is never run.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    memory_mib: int = Limit(default=4096, ge=0)
    seconds_per_message: float = Limit(default=900.0, gt=0, le=86_400)
    bundles: Annotated[tuple[BundleHash, ...], Limit(strict=False, max_length=8)] = ()
