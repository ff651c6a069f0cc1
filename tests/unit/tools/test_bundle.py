"""What goes into a bundle, and what is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_samples import FINGERPRINT, KEY, wheel

import bundle
from federation_of import ROOT
from safeborders_fed.errors import ConfigurationError, DataError
from safeborders_fed.study.key_files import save_key
from sbom import Wheel, bill_of_materials


@pytest.fixture
def wheels(tmp_path: Path) -> list[Wheel]:
    paths = [
        wheel(
            tmp_path, "safeborders-fed", "0.1.0", "License-Expression: EUPL-1.2", "Requires-Dist: Needed>1"
        ),
        wheel(tmp_path, "needed", "2.0+cpu", "License: MIT", "Requires-Dist: absent; extra == 'x'"),
        wheel(tmp_path, "extra", "1.0", "Classifier: License :: OSI Approved :: BSD License"),
    ]
    return [Wheel.read(path) for path in paths]


def test_without_a_key_nothing_is_made_and_the_message_says_how_to_make_one() -> None:
    with pytest.raises(ConfigurationError, match="openssl genpkey -algorithm ed25519") as caught:
        bundle.release_key("")
    assert caught.value.code == "no-release-key"


def test_the_command_without_a_key_says_so_and_writes_nothing(tmp_path: Path) -> None:
    program = [sys.executable, ROOT / "tools" / "bundle.py", "--out", tmp_path / "dist"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == ConfigurationError.exit_code
    assert "Fix: make a key once" in done.stderr
    assert not (tmp_path / "dist").exists()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    save_key(KEY, tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(ConfigurationError, match="open-to-others"):
        bundle.release_key(str(tmp_path / "key"))


def test_the_fingerprint_is_what_openssl_and_the_installer_compute(tmp_path: Path) -> None:
    bundle.sign(tmp_path, KEY)
    der = ["openssl", "pkey", "-pubin", "-in", tmp_path / "release.pub", "-outform", "DER"]
    public = subprocess.run(der, capture_output=True, check=True).stdout
    digest = subprocess.run(["sha256sum"], input=public, capture_output=True, check=True).stdout
    assert digest.split()[0].decode() == FINGERPRINT


def test_what_is_not_committed_is_not_signed(tmp_path: Path) -> None:
    git = ["git", "-C", tmp_path, "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "a").write_text("1")
    (tmp_path / ".gitignore").write_text("ignored\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    (tmp_path / "ignored").write_text("stale")
    into = tmp_path.parent / f"{tmp_path.name}-source"
    into.mkdir()
    assert bundle.committed_source(tmp_path, into) > 1_600_000_000
    assert sorted(path.name for path in into.iterdir()) == [".gitignore", "a"]
    (tmp_path / "a").write_text("2")
    with pytest.raises(ConfigurationError, match="uncommitted-changes"):
        bundle.committed_source(tmp_path, into)


def test_only_pinned_versions_are_bundled(wheels: list[Wheel]) -> None:
    pinned = bundle.pins("# words\nNeeded==2.0\nextra==1.0\n")
    bundle.require_pinned(wheels, pinned)  # a build's local suffix is not part of a pin
    for wrong in ({**pinned, "needed": "2.1"}, {"needed": "2.0"}):
        with pytest.raises(DataError, match="not-pinned"):
            bundle.require_pinned(wheels, wrong)


def test_requirements_hold_a_hash_for_every_package(wheels: list[Wheel]) -> None:
    lines = bundle.requirements(wheels, ["needed", "safeborders-fed"]).splitlines()
    assert [line.split("==")[0] for line in lines] == ["needed", "safeborders-fed"]
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}$", line) for line in lines)


def test_torch_is_asked_for_by_its_exact_pinned_version() -> None:
    name, _, version = bundle.TORCH.partition("==")
    assert bundle.pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))[name] == version


def test_the_sums_cover_every_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"a")
    assert [line.split("  ")[1] for line in bundle.write_sums(tmp_path).decode().splitlines()] == [
        "a",
        "deep/b",
    ]


def test_the_bill_of_materials_follows_its_schema_and_names_all(wheels: list[Wheel]) -> None:
    pytest.importorskip("cyclonedx")
    data = bill_of_materials(wheels, "safeborders-fed")
    content = json.loads(data)
    assert content["bomFormat"] == "CycloneDX"
    assert {c["name"]: c.get("licenses") for c in content["components"]} == {
        "needed": [{"license": {"name": "MIT"}}],
        "extra": [{"license": {"name": "BSD License"}}],
    }
    assert content["metadata"]["component"]["licenses"] == [{"expression": "EUPL-1.2"}]
    needs = {item["ref"]: item["dependsOn"] for item in content["dependencies"]}
    assert needs["pkg:pypi/safeborders-fed@0.1.0"] == ["pkg:pypi/needed@2.0"]
    assert data == bill_of_materials(wheels[::-1], "safeborders-fed"), "the same wheels, the same bytes"


def test_a_file_that_is_no_wheel_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.whl"):
        Wheel.read(tmp_path / "a.whl")
