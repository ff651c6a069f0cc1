"""What is wrong in a ``node.toml``, in words for who wrote it.

Guarantees: every mistake is named by its key; a key that does not exist is named with the nearest one that
does; no value is quoted at length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.opening_hours import nearest

_MOST: Final = 8
"""Mistakes that are told at once."""


def settings_invalid(
    path: Path, error: ValidationError, tables: Mapping[str, Iterable[str]]
) -> ConfigurationError:
    """The error for a file that says something wrong.

    Args:
        path: The file.
        error: What is wrong in it.
        tables: The keys of each table that it may have; those outside of any under the empty name.
    """
    found: list[Any] = list(error.errors(include_url=False, include_input=False))
    unknown = [mistake for mistake in found if mistake["type"] == "extra_forbidden"]
    others = [mistake for mistake in found if mistake["type"] != "extra_forbidden"]
    told = [*(_unknown(mistake["loc"], tables) for mistake in unknown), *map(_other, others)]
    more = f"; and {len(told) - _MOST} more" if len(told) > _MOST else ""
    fix = "mend that key; `safeborders node init` writes a file with all of them"
    if any(mistake["loc"][:1] == ("policy",) for mistake in found):
        fix = "mend that key; docs/policy.md explains each key of [policy]"
    if unknown:
        loc = unknown[0]["loc"]
        meant = nearest(str(loc[-1]), _keys(loc, tables))
        if meant:
            fix = (
                f"write {meant.removeprefix('; did you mean ').rstrip('?')} instead of {str(loc[-1])[:60]!r}"
            )
    return ConfigurationError("settings-invalid", f"{path}: {'; '.join(told[:_MOST])}{more}", fix)


def _keys(loc: tuple[Any, ...], tables: Mapping[str, Iterable[str]]) -> frozenset[str]:
    return frozenset(tables.get(".".join(map(str, loc[:-1])), ()))


def _unknown(loc: tuple[Any, ...], tables: Mapping[str, Iterable[str]]) -> str:
    key = ".".join(map(str, loc))[:80]
    return f"{key}: there is no such key{nearest(str(loc[-1]), _keys(loc, tables))}"


def _other(mistake: Any) -> str:
    key = ".".join(map(str, mistake["loc"])) or "key_protection"  # the one check of several keys together
    if mistake["type"] == "missing":
        return f"{key}: it is missing, and has no default"
    return f"{key}: {mistake['msg'].removeprefix('Value error, ')}"
