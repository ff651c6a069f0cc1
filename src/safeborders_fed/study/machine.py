"""What a doctor asks the machine under it, on both sides: disk, rights of files, stray keys, clock, versions.

Guarantees: nothing is written; of a key file only its first line is read, unless it is to be compared with a
public key; nothing of a key is shown. Rights are judged by the mode bits, not by trying, since for root every
file is open.
"""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import re
import stat
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

import safeborders_fed
from safeborders_fed.cases.contract import CONTRACT_VERSION
from safeborders_fed.cases.keys import credentials_directory, is_open_to_others
from safeborders_fed.study import wire
from safeborders_fed.study.checkup import Finding, failed, ok, skipped, warning

LOW_BYTES: Final = 5 * 2**30
NO_BYTES: Final = 512 * 2**20
LOW_INODES: Final = 0.05
NO_INODES: Final = 0.005
_LARGEST_KEY: Final = 16 * 1024
_MOST_FILES: Final = 100_000
_UNSYNCHRONISED: Final = 5
_PACKAGE: Final = "safeborders-fed"
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([0-9][^;,\s]*)$")


def user() -> str:
    """The user of the machine that runs this program, as the machine knows it; nothing that one could set."""
    number = os.geteuid()
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:  # a user without an entry in the machine's list
        return f"user {number}"


def disk(name: str, path: Path, look: Callable[[Path], os.statvfs_result] = os.statvfs) -> Finding:
    """How much room is left on the file system under a directory."""
    found = look(path)
    free = found.f_bavail * found.f_frsize
    inodes = found.f_favail / found.f_files if found.f_files else 1.0  # some file systems have no limit
    text = f"{free / 2**30:,.1f} GiB free under {path}"
    fix = "free space, or move the directory to a larger file system"
    if inodes < NO_INODES:
        return failed(
            name, f"{text}, but no room for more files (inodes used up)", "remove small files there"
        )
    if free < NO_BYTES:
        return failed(name, f"{text}: too little for ledger, log and store to be written", fix)
    if inodes < LOW_INODES:
        return warning(
            name, f"{text}, but only {inodes:.1%} of its inodes are left", "remove small files there"
        )
    return warning(name, f"{text}: this may not last", fix) if free < LOW_BYTES else ok(name, text)


def private_directory(name: str, path: Path) -> Finding:
    """Whether a directory is its owner's only."""
    mode = stat.S_IMODE(path.stat().st_mode)
    fix = f"run `chmod 700 {path}`"
    if mode & 0o022:
        return failed(name, f"{path} has mode {mode:04o}: others may put or remove files there", fix)
    if mode & 0o077:
        return warning(name, f"{path} has mode {mode:04o}: others may look into it", fix)
    return ok(name, f"{path} is for its owner only (mode {mode:04o})")


def private_key(name: str, path: Path, home: Path) -> Finding:
    """Whether a key file that can be read is its owner's only, who owns the home directory too."""
    found, parent = path.stat(), path.parent.stat()
    mode, around = stat.S_IMODE(found.st_mode), stat.S_IMODE(parent.st_mode)
    if is_open_to_others(path, mode):
        return failed(
            name,
            f"{path} has mode {mode:04o}, so others than its owner may open it",
            f"run `chmod 600 {path}`, and ask who has read it",
        )
    if path.parent == credentials_directory():
        return ok(name, f"{path} can be used; systemd keeps it")
    if around & 0o022 and not around & stat.S_ISVTX:
        return failed(
            name,
            f"others may replace {path}: its directory has mode {around:04o}",
            f"run `chmod go-w {path.parent}`",
        )
    if found.st_uid != home.stat().st_uid:
        return warning(
            name,
            f"{path} belongs to user {found.st_uid}, the directory {home} to user {home.stat().st_uid}",
            "give both to the user of the service",
        )
    return ok(name, f"{path} can be used, and is for its owner only")


def private_keys_below(home: Path) -> Iterator[tuple[Path, str | None]]:
    """Files below a directory that hold a private key, with its public half.

    The public half is the DER of the key as hexadecimal digits; None if a passphrase guards the key.
    """
    for count, (directory, _, names) in enumerate(os.walk(home)):
        if count > _MOST_FILES:
            return
        for name in names:
            path = Path(directory, name)
            data = _beginning(path)
            if data.startswith(b"-----BEGIN") and b"PRIVATE KEY-----" in data.splitlines()[0]:
                yield path, _public_half(path)


def _beginning(path: Path) -> bytes:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_KEY:
            return b""
        with path.open("rb") as file:
            return file.read(80)
    except OSError:  # gone by now, or left there by somebody who lets nobody read it
        return b""


def _public_half(path: Path) -> str | None:
    data = path.read_bytes()
    for load in (load_pem_private_key, load_ssh_private_key):
        try:
            key = load(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()
    return None


def clock(name: str, state: Callable[[], int] | None = None) -> Finding:
    """Whether the kernel knows its clock to be synchronised."""
    try:
        found = (state or _kernel_clock)()
    except (OSError, AttributeError):
        found = -1
    if found < 0:
        return skipped(name, "the kernel does not say whether the clock is synchronised")
    if found == _UNSYNCHRONISED:
        return warning(
            name,
            "the kernel says that nothing keeps this machine's clock right",
            "switch time synchronisation on (`timedatectl set-ntp true`, or chrony)",
        )
    return ok(name, "the clock is kept right by time synchronisation")


def _kernel_clock() -> int:
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # a zeroed timex only asks
    return state


def versions() -> dict[str, str]:
    """Versions on this machine, by name."""
    return {
        "software": safeborders_fed.__version__,
        "protocol": f"{wire.PROTOCOL}.{wire.MINOR}",
        "flower": _installed("flwr"),
        "python": platform.python_version(),
        "contract": CONTRACT_VERSION,
    }


def packages(name: str) -> Finding:
    """Whether the packages that must have one exact version have it."""
    text = ", ".join(f"{what} {version}" for what, version in versions().items())
    wrong = [
        f"{package} {_installed(package)} instead of {wanted}"
        for package, wanted in _pinned()
        if _installed(package).partition("+")[0] != wanted  # what follows a plus says how it was built
    ]
    if wrong:
        return failed(
            name, f"{text}; wrong: {', '.join(wrong)}", "install again from the constraints of this version"
        )
    return ok(name, text)


def _pinned() -> Iterator[tuple[str, str]]:
    try:
        wanted = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        wanted = []
    for line in wanted:
        match = _PINNED.match(line.replace(" ", ""))
        if match:
            yield match[1], match[2]


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
