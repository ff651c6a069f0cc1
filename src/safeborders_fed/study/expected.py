"""How accurate a study is expected to be, for the people of both sides, before anybody is asked.

Guarantees: it follows from the manifest alone, and from numbers of victims that are assumed and named as
such, so a node shows the same figures as the coordinator, and none of them tells of a case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeborders_fed.analyses.expectation import VICTIMS, Expected
from safeborders_fed.errors import UsageError

if TYPE_CHECKING:
    from safeborders_fed.study.manifest import Manifest

_MOST = 10_000_000


def expected(manifest: Manifest, victims: int | None = None) -> Expected:
    """What is expected if all states of the manifest take part.

    Args:
        manifest: The study.
        victims: An assumed number of victims over all states; by default some are shown.

    Raises:
        UsageError: ``bad-victims``.
    """
    if victims is not None and not 1 <= victims <= _MOST:
        raise UsageError(
            "bad-victims",
            f"accuracy cannot be told for {victims} victims",
            f"assume at least 1 and at most {_MOST:,} with --assume-victims",
        )
    assumed = VICTIMS if victims is None else (victims,)
    return manifest.build_analysis().expected(manifest.setting().noise, assumed)
