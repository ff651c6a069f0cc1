"""The app bundle that a Flower run names: the pin by which nodes and coordinator know each other's code.

Flower hands a bundle of code to every node of a run. Here its code is never unpacked: both sides run the
package that is installed, and a run whose bundle has another hash than the one pinned here is refused.

Guarantees: the bytes follow from the version of the wire protocol alone, on any machine (stored, not
compressed; fixed dates and order).
"""

from __future__ import annotations

import hashlib
import zipfile
from functools import cache
from io import BytesIO
from typing import Final

from safeborders_fed.study.wire import PROTOCOL

_DATE: Final = (1980, 1, 1, 0, 0, 0)
_PROJECT: Final = f"""\
[project]
name = "safeborders"
version = "{PROTOCOL}.0.0"
description = "Runs the installed safeborders_fed."
license = "EUPL-1.2"
dependencies = []

[tool.flwr.app]
publisher = "safeborders"

[tool.flwr.app.components]
serverapp = "apps:coordinator"
clientapp = "apps:node"

[tool.flwr.app.config]
action = ""
study = ""
"""
_APPS: Final = '''\
"""Never run: both sides run the installed package, and refuse a bundle with another hash."""
'''


@cache
def bundle() -> bytes:
    """The bundle in Flower's format: a zip archive with a list of its content."""
    files = {"pyproject.toml": _PROJECT, "apps.py": _APPS}
    listed = [
        f"{name},{hashlib.sha256(text.encode()).hexdigest()},{len(text.encode()) * 8}"
        for name, text in files.items()
    ]
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, text in {**files, ".info/CONTENT": "\n".join(listed)}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text)
    return made.getvalue()


@cache
def bundle_hash() -> str:
    """SHA-256 of the bundle, 64 hexadecimal digits: what a run of this version must name."""
    return hashlib.sha256(bundle()).hexdigest()
