"""What is installed is what is there."""

from __future__ import annotations

import tomllib

from federation_of import ROOT


def test_every_package_is_installed() -> None:
    """The list is written by hand: a package that it lacks is missing on every other machine."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    source = ROOT / "src"
    found = {
        ".".join(path.parent.relative_to(source).parts)
        for path in source.rglob("*.py")
        if "__pycache__" not in path.parts
    }
    others = {"safeborders_fed.configs", "safeborders_fed.configs.mappings"}
    templates = {name for name in listed["packages"] if name.endswith(".templates")}
    assert set(listed["packages"]) == found | others | templates
