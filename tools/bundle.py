"""Writes a signed directory from which a node or a coordinator is installed without a network.

Guarantees:

- What is bundled is what is committed: a source tree with changes is refused, and ignored files stay out.
- Only versions that ``constraints.txt`` pins go in, each wheel named with its SHA-256 in the requirement
  files; nothing that only developers need.
- ``SHA256SUMS`` lists every other file, and the release key signs it (Ed25519). Without a key there is no
  bundle.
- The directory appears complete or not at all. The same source, wheels and key give the same bytes.

Layout of the directory::

    safeborders-install.sh        checks all of the below, then installs
    BUNDLE                        version, Python and machine that the wheels are for
    wheels/                       the project and everything that it needs
    requirements-ROLE.txt         exactly what that role installs, with hashes
    constraints.txt               the pins that the wheels were chosen by
    sbom.cdx.json                 bill of materials, CycloneDX
    deploy/                       service units, container files, runbooks
    SHA256SUMS SHA256SUMS.sig release.pub
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from packaging.utils import canonicalize_name

from safeborders_fed.cli import output
from safeborders_fed.errors import ConfigurationError, DataError, PeerError, SafeBordersError
from safeborders_fed.study.key_files import load_key
from sbom import Wheel, bill_of_materials

PROJECT: Final = "safeborders-fed"
TORCH: Final = "torch==2.13.0"
ROLES: Final = {"node": PROJECT, "coordinator": f"{PROJECT}[report]"}
SUMS: Final = "SHA256SUMS"
_DEPLOYED: Final = ("node", "coordinator")
_INSTALLER: Final = "safeborders-install.sh"
_HOW_TO_MAKE_A_KEY: Final = (
    "make a key once with `(umask 077; openssl genpkey -algorithm ed25519 -out release.key)`, keep it off "
    "this machine, and run `make bundle RELEASE_KEY=release.key`"
)


def release_key(path: str) -> Ed25519PrivateKey:
    """The key that signs the release.

    Raises:
        ConfigurationError: ``no-release-key``, or as load_key.
    """
    if not path:
        raise ConfigurationError(
            "no-release-key", "a bundle is signed, and no key was given", _HOW_TO_MAKE_A_KEY
        )
    return load_key(Path(path))


def fingerprint(public: Ed25519PublicKey) -> str:
    """What people compare: the SHA-256 of the public key in DER form, hexadecimal."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def committed_source(root: Path, into: Path) -> int:
    """Copies the committed files of a repository; the time of the commit, in seconds since 1970.

    Raises:
        ConfigurationError: ``uncommitted-changes`` or ``no-repository``.
    """
    git = ["git", "-C", str(root)]
    changes = _run([*git, "status", "--porcelain"], "no-repository", "run this in a clone of the repository")
    if changes.strip():
        raise ConfigurationError(
            "uncommitted-changes",
            f"the source tree differs from what is committed: {changes.splitlines()[0].strip()}",
            "commit or put aside what was changed: a signature stands for a commit",
        )
    archive = _run_bytes([*git, "archive", "HEAD"], "no-repository", "run this in a clone of the repository")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(into, filter="data")
    return int(_run([*git, "log", "-1", "--format=%ct"], "no-repository", "commit something first"))


def build_wheels(source: Path, wheels: Path, *, taken_from: Path | None, epoch: int) -> None:
    """Builds the project's wheel, and collects or builds the wheels that it needs.

    Args:
        source: The committed source.
        wheels: New directory for them.
        taken_from: Directory of wheels to take all others from, without a network.
        epoch: The time that goes into the project's wheel.

    Raises:
        PeerError: ``wheels-incomplete``.
    """
    offline = [] if taken_from is None else ["--no-index", "--find-links", str(taken_from)]
    command = [*_pip(), "wheel", "--quiet", "--constraint", str(source / "constraints.txt")]
    _run(
        [*command, *offline, "--wheel-dir", str(wheels), TORCH, f"{source}[report]"],
        "wheels-incomplete",
        "check that the registry can be reached and holds the pinned versions",
        environment={"SOURCE_DATE_EPOCH": str(epoch)},
    )


def resolve(wheels: Path, requirement: str) -> list[str]:
    """Names of the packages that a requirement needs, from these wheels alone.

    Raises:
        PeerError: ``wheels-incomplete``.
    """
    report = _run(
        [
            *(*_pip(), "install", "--quiet", "--dry-run", "--ignore-installed", "--no-index"),
            *("--find-links", str(wheels), "--report", "-", requirement),
        ],
        "wheels-incomplete",
        "make the bundle again from a network",
    )
    return sorted(canonicalize_name(item["metadata"]["name"]) for item in json.loads(report)["install"])


def pins(constraints: str) -> dict[str, str]:
    """Name to version, as ``constraints.txt`` says."""
    lines = [line.strip() for line in constraints.splitlines() if line.strip() and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def require_pinned(wheels: Sequence[Wheel], pinned: Mapping[str, str]) -> None:
    """Refuses wheels that nobody pinned.

    Raises:
        DataError: ``not-pinned``.
    """
    for wheel in wheels:
        if wheel.name != PROJECT and pinned.get(wheel.name) != wheel.version.partition("+")[0]:
            raise DataError(
                "not-pinned",
                f"{wheel.path.name} would be bundled; constraints.txt says {pinned.get(wheel.name)}",
                f"pin it in constraints.txt; for a GPU package, have pip find the CPU build of {TORCH}",
            )


def requirements(wheels: Sequence[Wheel], names: Sequence[str]) -> str:
    """A requirements file for ``pip install --require-hashes``."""
    lines = [
        f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}"
        for wheel in sorted(wheels, key=lambda wheel: wheel.name)
        if wheel.name in names
    ]
    return "\n".join(lines) + "\n"


def write_sums(directory: Path) -> bytes:
    """Writes ``SHA256SUMS`` over all files of a directory; its content."""
    files = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    content = "".join(lines).encode()
    (directory / SUMS).write_bytes(content)
    return content


def sign(directory: Path, key: Ed25519PrivateKey) -> None:
    """Signs the sums, and puts the public key beside them."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "release.pub").write_bytes(public)
    (directory / f"{SUMS}.sig").write_bytes(key.sign(write_sums(directory)))


def write_bundle(root: Path, out: Path, key: Ed25519PrivateKey, taken_from: Path | None = None) -> Path:
    """Writes a bundle of what is committed; its directory.

    Args:
        root: The repository.
        out: Where the directory goes.
        key: The release key.
        taken_from: Directory of wheels to take all but the project's own from.

    Raises:
        ConfigurationError: as committed_source; ``bundle-exists``, ``bad-version``.
        DataError: ``not-pinned`` or ``bad-wheel``.
        PeerError: ``wheels-incomplete``.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as work:
        source, bundle = Path(work, "source"), Path(work, "bundle")
        source.mkdir()
        epoch = committed_source(root, source)
        build_wheels(source, bundle / "wheels", taken_from=taken_from, epoch=epoch)
        wheels = [Wheel.read(path) for path in sorted((bundle / "wheels").iterdir())]
        (version,) = (wheel.version for wheel in wheels if wheel.name == PROJECT)
        final = _destination(out, version)
        require_pinned(wheels, pins((source / "constraints.txt").read_text(encoding="utf-8")))
        _fill(bundle, source, wheels, version)
        sign(bundle, key)
        bundle.rename(final)
    return final


def _destination(out: Path, version: str) -> Path:
    if re.fullmatch(r"\d+\.\d+\.\d+", version) is None:
        raise ConfigurationError(
            "bad-version", f"{version} is not MAJOR.MINOR.PATCH", "set a released version in pyproject.toml"
        )
    final = out / f"safeborders-{version}"
    if final.exists():
        raise ConfigurationError(
            "bundle-exists", f"{final} exists already", "remove it, or raise the version in pyproject.toml"
        )
    return final


def _fill(bundle: Path, source: Path, wheels: Sequence[Wheel], version: str) -> None:
    for role, requirement in ROLES.items():
        text = requirements(wheels, resolve(bundle / "wheels", requirement))
        (bundle / f"requirements-{role}.txt").write_text(text, encoding="ascii")
    shutil.copy(source / "constraints.txt", bundle)
    shutil.copy(source / "LICENCE", bundle)
    shutil.copy(source / "tools" / _INSTALLER, bundle)
    for name in _DEPLOYED:
        shutil.copytree(source / name, bundle / "deploy" / name)
    (bundle / "deploy" / "docs").mkdir()
    for name in ("installation.md", "case-store.md"):  # what the README of the node sends its reader to
        shutil.copy(source / "docs" / name, bundle / "deploy" / "docs")
    (bundle / "BUNDLE").write_text(
        f"version={version}\npython={sys.version_info[0]}.{sys.version_info[1]}\nmachine={platform.machine()}\n",
        encoding="ascii",
    )
    (bundle / "sbom.cdx.json").write_bytes(bill_of_materials(wheels, PROJECT))


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def _run(command: list[str], code: str, fix: str, environment: Mapping[str, str] | None = None) -> str:
    return _run_bytes(command, code, fix, environment).decode()


def _run_bytes(
    command: list[str], code: str, fix: str, environment: Mapping[str, str] | None = None
) -> bytes:
    done = subprocess.run(  # noqa: S603 - fixed programs, with arguments that the releasing person gave
        command, capture_output=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        kind = PeerError if code == "wheels-incomplete" else ConfigurationError
        raise kind(code, f"{' '.join(command[:4])} failed: {last}", fix)
    return done.stdout


def main(arguments: Sequence[str]) -> int:
    """Makes a bundle as the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="bundle.py", description="Write a signed offline bundle.")
    parser.add_argument("--release-key", default="", help="Ed25519 private key, PEM, mode 600")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="where the directory goes")
    parser.add_argument("--wheels-from", type=Path, help="take other wheels from here, without a network")
    given = parser.parse_args(arguments)
    try:
        key = release_key(given.release_key)
        taken_from = given.wheels_from and given.wheels_from.absolute()
        bundle = write_bundle(Path(__file__).resolve().parents[1], given.out, key, taken_from)
    except SafeBordersError as problem:
        output.error(problem, as_json=False)
        return problem.exit_code
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) / 2**20
    output.message(
        f"{bundle}: {size:.0f} MiB, signed.\n"
        "Give people the key's fingerprint by another way than the bundle:"
    )
    output.message(fingerprint(key.public_key()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
