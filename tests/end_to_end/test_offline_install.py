"""A bundle is made, installed where there is no network, upgraded and rolled back; the node's files stay.

Everything is real: the project's wheel, torch and all other pinned wheels (about 400 MiB, from the registry,
or from the directory that SAFEBORDERS_WHEELS names), a namespace without routes, and no root.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import bundle
from federation_of import ROOT
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.key_files import load_key

POLICY = """
[policy]
analyses = ["logistic"]
columns = ["sex"]
epsilon_per_study = 1.0
epsilon_per_year = 2.0
epsilon_lifetime = 3.0
delta = 1e-6
minimum_participants = 2
purposes = ["victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"]
populations = ["all", "minors"]
least_victims = 0
least_tolerated_colluders = 1
"""
NO_NETWORK = ["unshare", "--user", "--net"]  # a new network namespace, and no privileges over anything


def _can_unshare() -> bool:
    done = subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False)
    return done.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("unshare") is None or not _can_unshare(), reason="no namespaces here"),
]


@dataclass(frozen=True)
class Bundles:
    first: Path
    second: Path
    fingerprint: str


def _make(source: Path, out: Path, key: Path, wheels: str | None) -> None:
    command = [sys.executable, source / "tools" / "bundle.py", "--release-key", key, "--out", out]
    more = ["--wheels-from", wheels] if wheels else []
    # The copy that is bundled is the one that makes the bundle.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(source / "src"), *sys.path])}
    subprocess.run([*command, *more], check=True, env=environment)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundles]:
    """The bundle of this source, and one of the same source as version 0.1.1."""
    pytest.importorskip("cyclonedx")
    work = tmp_path_factory.mktemp("bundles")
    source, key, out = work / "source", work / "release.key", work / "dist"
    listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    git = ["git", "-C", source, "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    key.chmod(0o600)
    _make(source, out, key, os.environ.get("SAFEBORDERS_WHEELS"))
    for name in ("pyproject.toml", "src/safeborders_fed/__init__.py"):
        text = (source / name).read_text(encoding="utf-8")
        (source / name).write_text(
            text.replace('version = "0.1.0"', 'version = "0.1.1"').replace(
                '__version__ = "0.1.0"', '__version__ = "0.1.1"'
            ),
            encoding="utf-8",
        )
    subprocess.run([*git, "commit", "-qam", "second"], check=True)
    _make(source, out, key, str(out / "safeborders-0.1.0" / "wheels"))
    fingerprint = bundle.fingerprint(load_key(key).public_key())
    yield Bundles(out / "safeborders-0.1.0", out / "safeborders-0.1.1", fingerprint)
    shutil.rmtree(work)


@pytest.fixture
def prefix(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "opt"
    shutil.rmtree(tmp_path / "opt", ignore_errors=True)  # over a gigabyte a version


def _offline(*command: str | Path) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [*NO_NETWORK, *command], capture_output=True, text=True, check=False, env=plain, cwd="/"
    )


def _installer(made: Path, *arguments: str | Path) -> str:
    done = _offline(made / "safeborders-install.sh", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _state(*places: Path) -> dict[str, str]:
    """Every file with its mode and content."""
    files = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
    return {
        str(path): f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
        if path.is_file()
    }


def _node(directory: Path) -> tuple[Path, list[Path]]:
    """A node with a policy and a ledger that holds something; its home, and all that must stay."""
    home = directory / "bg"
    create_node(home, "BG", directory / "bg.key", 1000)
    with (home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    ledger = NodeSettings.load(home).open_ledger()
    ledger.reserve("study-1", "a" * 64, 0.02)
    ledger.spend(("study-1", 0, 0), "r", b"bytes", 0.005)
    ledger.close()
    return home, [home, directory / "bg.key", directory / "bg.key.signing"]


def test_the_namespace_has_no_route_and_no_root() -> None:
    routes = _offline("cat", "/proc/net/route").stdout.splitlines()
    assert len(routes) <= 1, "a heading at most"
    assert _offline("id", "-u").stdout.strip() != "0"


def test_install_upgrade_and_roll_back_leave_the_node_alone(
    bundles: Bundles, prefix: Path, tmp_path: Path
) -> None:
    home, kept = _node(tmp_path)
    before = _state(*kept)
    given = ["--prefix", prefix, "--fingerprint", bundles.fingerprint, "--python", sys.executable]

    _installer(bundles.first, *given)
    program = prefix / "bin" / "safeborders"
    assert _offline(program, "--version").stdout == "safeborders 0.1.0\n"
    missing = _offline(prefix / "current" / "bin" / "python", "-c", "import altair, torch")
    assert "No module named 'altair'" in missing.stderr, "a node gets nothing that only reports need"
    for name in ("node/README.md", "node/safeborders-node.service", "docs/installation.md"):
        assert (prefix / "current" / "deploy" / name).is_file()
    for tool in ("pytest", "ruff", "mypy"):
        assert not (prefix / "current" / "bin" / tool).exists()

    _installer(prefix / "current", *given, "--bundle", bundles.second)  # by the one that is trusted already
    assert _offline(program, "--version").stdout == "safeborders 0.1.1\n"
    assert _state(*kept) == before
    assert "Version 0.1.1" in _installer(bundles.second, *given), "again changes nothing"

    older = _offline(bundles.first / "safeborders-install.sh", *given)
    assert older.returncode == 5
    assert "[downgrade]" in older.stderr
    _installer(bundles.second, "--rollback", "--prefix", prefix)
    assert _offline(program, "--version").stdout == "safeborders 0.1.0\n"
    assert _state(*kept) == before
    listed = _installer(bundles.second, "--list", "--prefix", prefix)
    assert listed == "0.1.0 node current\n0.1.1 node previous\n"

    shown = _offline(program, "node", "ledger", "--home", home)
    assert "study-1" in shown.stdout, shown.stderr


def test_the_coordinator_can_draw_reports(bundles: Bundles, prefix: Path) -> None:
    given = ["--prefix", prefix, "--fingerprint", bundles.fingerprint, "--python", sys.executable]
    _installer(bundles.first, *given, "--role", "coordinator")
    drawn = "import altair, vl_convert, safeborders_fed.reporting.building"
    assert _offline(prefix / "current" / "bin" / "python", "-c", drawn).returncode == 0


def test_the_same_commit_wheels_and_key_give_the_same_bundle(bundles: Bundles, tmp_path: Path) -> None:
    work = bundles.first.parents[1]
    _make(work / "source", tmp_path, work / "release.key", str(bundles.first / "wheels"))
    for name in ("SHA256SUMS", "SHA256SUMS.sig"):
        assert (tmp_path / "safeborders-0.1.1" / name).read_bytes() == (bundles.second / name).read_bytes()
