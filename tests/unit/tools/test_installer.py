"""The installer refuses before it changes anything. That it installs is shown end to end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_samples import FINGERPRINT, INSTALLER, small_bundle

import bundle
from federation_of import ROOT

SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
AS_NODE = ROOT / "node" / "as-node.sh"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def install(
    made: Path, prefix: Path, *more: str, fingerprint: str = FINGERPRINT
) -> subprocess.CompletedProcess[str]:
    command = [made / INSTALLER.name, "--prefix", prefix, "--fingerprint", fingerprint, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in {2, 4, 5}, done.stderr
    assert "\nFix: " in done.stderr
    return done.stderr.partition("[")[2].partition("]")[0]


def versions(prefix: Path) -> list[str]:
    return sorted(path.name for path in (prefix / "versions").iterdir())


def add_file(made: Path) -> None:
    (made / "wheels" / "more.whl").write_bytes(b"more")


def change_file(made: Path) -> None:
    (made / "wheels" / "none.whl").write_bytes(b"other")


def drop_file(made: Path) -> None:
    (made / "wheels" / "none.whl").unlink()


def link_file(made: Path) -> None:
    (made / "wheels" / "link.whl").symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [add_file, change_file, drop_file, link_file])
def test_a_bundle_that_was_changed_is_refused(tmp_path: Path, change: object) -> None:
    made = small_bundle(tmp_path / "bundle")
    change(made)  # type: ignore[operator]
    assert refusal(install(made, tmp_path / "prefix")) == "bundle-altered"
    assert versions(tmp_path / "prefix") == []


def test_sums_that_the_key_did_not_sign_are_refused(tmp_path: Path) -> None:
    made = small_bundle(tmp_path / "bundle")
    change_file(made)
    bundle.write_sums(made)
    assert refusal(install(made, tmp_path / "prefix")) == "bad-signature"


def test_a_bundle_of_another_key_is_refused(tmp_path: Path) -> None:
    made = small_bundle(tmp_path / "bundle")
    bundle.sign(made, bundle.Ed25519PrivateKey.generate())
    assert refusal(install(made, tmp_path / "prefix")) == "wrong-release-key"


@pytest.mark.parametrize("fingerprint", ["", "abc", "0" * 63])
def test_without_a_fingerprint_nothing_is_installed(tmp_path: Path, fingerprint: str) -> None:
    made = small_bundle(tmp_path / "bundle")
    assert refusal(install(made, tmp_path / "prefix", fingerprint=fingerprint)) == "usage"


def test_a_fingerprint_may_be_written_as_people_write_it(tmp_path: Path) -> None:
    made = small_bundle(tmp_path / "bundle", machine="another")
    spoken = ":".join(FINGERPRINT[at : at + 2] for at in range(0, 64, 2)).upper()
    done = install(made, tmp_path / "prefix", fingerprint=spoken)
    assert refusal(done) == "wrong-machine", "what comes after the signature"


def test_an_older_version_is_not_installed_silently(tmp_path: Path) -> None:
    made, prefix = small_bundle(tmp_path / "bundle", "0.9.0"), tmp_path / "prefix"
    (prefix / "versions" / "0.10.0").mkdir(parents=True)
    (prefix / ".safeborders-prefix").touch()
    (prefix / "current").symlink_to("versions/0.10.0")
    assert refusal(install(made, prefix)) == "downgrade"
    assert refusal(install(made, prefix, "--allow-downgrade")) == "install-failed", "its wheels are none"
    assert (prefix / "current").readlink() == Path("versions/0.10.0"), "what failed never becomes current"
    assert not (prefix / "versions" / "0.9.0" / ".complete").exists()


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    made, home = small_bundle(tmp_path / "bundle"), tmp_path / "home"
    home.mkdir()
    (home / "node.toml").write_text("country")
    assert refusal(install(made, home)) == "prefix-in-use"
    assert [path.name for path in home.iterdir()] == ["node.toml"]


def test_two_installations_do_not_meet(tmp_path: Path) -> None:
    made, prefix = small_bundle(tmp_path / "bundle"), tmp_path / "prefix"
    prefix.mkdir()
    (prefix / ".safeborders-prefix").touch()
    with subprocess.Popen(["flock", prefix / ".lock", "cat"], stdin=subprocess.PIPE) as holder:
        while subprocess.run(["flock", "-n", prefix / ".lock", "true"], check=False).returncode == 0:
            pass
        assert refusal(install(made, prefix)) == "install-busy"
        holder.communicate()


def test_with_nothing_before_there_is_no_way_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [INSTALLER, "--rollback", "--prefix", tmp_path / "p"], capture_output=True, text=True, check=False
    )
    assert refusal(done) == "nothing-before"


def test_help_names_every_option() -> None:
    done = subprocess.run([INSTALLER, "--help"], capture_output=True, text=True, check=True)
    for option in (
        "--fingerprint",
        "--role",
        "--prefix",
        "--rollback",
        "--prune",
        "--allow-downgrade",
        "--python",
    ):
        assert option in done.stdout


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
def test_the_scripts_pass_shellcheck() -> None:
    subprocess.run([str(SHELLCHECK), INSTALLER, AS_NODE], check=True)
