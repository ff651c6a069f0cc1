"""Small bundles: everything that the installer checks, and no wheels."""

import platform
import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import bundle
from federation_of import ROOT

KEY = Ed25519PrivateKey.from_private_bytes(b"a key for tests only............")
FINGERPRINT = bundle.fingerprint(KEY.public_key())
INSTALLER = ROOT / "tools" / "safeborders-install.sh"


def small_bundle(directory: Path, version: str = "0.1.0", machine: str = platform.machine()) -> Path:
    (directory / "wheels").mkdir(parents=True)
    (directory / "deploy").mkdir()
    (directory / "wheels" / "none.whl").write_bytes(b"not really a wheel")
    (directory / "requirements-node.txt").write_text(f"safeborders-fed=={version} --hash=sha256:{'0' * 64}\n")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (directory / "BUNDLE").write_text(f"version={version}\npython={python}\nmachine={machine}\n")
    shutil.copy(INSTALLER, directory)
    bundle.sign(directory, KEY)
    return directory


def wheel(directory: Path, name: str, version: str, *lines: str) -> Path:
    path = directory / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines, "", "Words."])
    with ZipFile(path, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}-{version}.dist-info/METADATA", text)
    return path
