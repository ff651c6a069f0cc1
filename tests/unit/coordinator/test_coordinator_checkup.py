"""Each thing that a doctor looks at in a coordinator's directory: well, doubtful and wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enrolment_samples import Site, federation
from safeborders_fed.coordinator import checkup, pki
from safeborders_fed.coordinator.home import add_operator, create_home
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.study.checkup import Finding
from safeborders_fed.study.key_files import load_certificate_key

NOW = datetime.now(UTC)
C = ConfigurationError.exit_code


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = federation(tmp_path, "BE", "BG", "FI")
    add_operator(site.home, "Otto", tmp_path / "otto")
    return site


def look(site: Site, now: datetime = NOW) -> list[Finding]:
    return checkup.examine(site.directory / "coordinator", now)


def line(site: Site, name: str, now: datetime = NOW) -> Finding:
    order = ("skipped", "ok", "warning", "failed")
    found = [finding for finding in look(site, now) if finding.name == name]
    return max(found, key=lambda finding: order.index(finding.level))


def test_a_coordinator_that_is_well_has_good_lines_only_and_is_left_as_it_was(site: Site) -> None:
    home = site.directory / "coordinator"
    before = {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in home.rglob("*")}
    found = look(site)
    assert {finding.level for finding in found} == {"ok"}, [f for f in found if f.level != "ok"]
    assert {finding.name for finding in found} == {"settings", *checkup.CHECKS}
    assert {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in home.rglob("*")} == before


def test_no_secret_is_shown(site: Site) -> None:
    said = repr(look(site))
    for path in (site.directory / "ca.key", site.directory / "olga"):
        assert all(text not in said for text in path.read_text("ascii").split() if len(text) > 20)


def copy(name: str, to: str) -> Callable[[Site], None]:
    return lambda site: (site.directory / to).write_bytes((site.directory / name).read_bytes()) and None


def remove(name: str) -> Callable[[Site], None]:
    return lambda site: (site.directory / name).unlink()


def mode(name: str, bits: int) -> Callable[[Site], None]:
    return lambda site: (site.directory / name).chmod(bits)


def edit(old: str, new: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        path = site.directory / "coordinator" / "coordinator.toml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    return change


def other_authority(site: Site) -> None:
    (site.directory / "other").mkdir()
    other = Site(site.directory / "other").found().home.path / "pki"
    (site.directory / "coordinator" / "pki" / "ca.crt").write_bytes((other / "ca.crt").read_bytes())


def member_edited(site: Site) -> None:
    path = site.directory / "coordinator" / "members" / "BE.json"
    content = json.loads(path.read_bytes())
    content["public"] = hashlib.sha256(b"x").hexdigest()
    path.write_bytes(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("change", "name", "level", "words"),
    [
        (remove("coordinator/coordinator.toml"), "settings", "failed", "settings-missing"),
        (mode("coordinator", 0o755), "directory", "warning", "0755"),
        (mode("coordinator", 0o733), "directory", "failed", "0733"),
        (
            edit("release_signatures = 2", "release_signatures = 3"),
            "operators",
            "warning",
            "a release needs 3",
        ),
        (
            edit('address = "localhost:9443"', 'address = "else.example:9443"'),
            "certificate",
            "failed",
            "not for",
        ),
        (remove("coordinator.service-key"), "service-key", "failed", "key-file-missing"),
        (copy("otto", "coordinator.service-key"), "service-key", "failed", "another-service-key"),
        (mode("coordinator.service-key", 0o644), "service-key", "failed", "0644"),
        (remove("coordinator/service-keys.json"), "service-key", "failed", "no operator vouches"),
        (copy("olga", "coordinator/service-keys.json"), "service-key", "failed", "bad-service-keys"),
        (mode("coordinator/pki/0001/server.key", 0o644), "certificate", "failed", "0644"),
        (copy("ca.key", "coordinator/pki/0001/server.key"), "certificate", "failed", "not the key of"),
        (other_authority, "certificate", "failed", "not signed by this coordinator's authority"),
        (remove("coordinator/pki/0001/server.crt"), "certificate", "failed", "no-network"),
        (remove("coordinator/pki/ca.crt"), "validity", "failed", "no-network"),
        (copy("ca.key", "coordinator/models/x"), "keys-elsewhere", "failed", "of the certificate authority"),
        (copy("otto", "coordinator/otto.pem"), "keys-elsewhere", "failed", "is the key of Otto"),
        (copy("BE.key.signing", "coordinator/who"), "keys-elsewhere", "warning", "private keys lie"),
        (remove("coordinator/members/BE.json"), "members", "failed", "does not hold the members"),
        (member_edited, "members", "failed", "does not hold the members"),
        (remove("coordinator/rosters/0002.json"), "members", "failed", "bad-roster-chain"),
        (copy("olga", "coordinator/members/BG.json"), "members", "failed", "bad-member"),
    ],
)
def test_what_is_not_well_has_a_line(
    site: Site, change: Callable[[Site], None], name: str, level: str, words: str
) -> None:
    change(site)
    found = line(site, name)
    assert (found.level, found.who) == (level, C if level == "failed" else 0), found
    assert words in found.text
    assert found.fix


@pytest.mark.parametrize(
    ("days", "level"), [(300, "ok"), (340, "warning"), (392, "warning"), (400, "failed")]
)
def test_certificates_that_end(site: Site, days: int, level: str) -> None:
    assert line(site, "validity", NOW + timedelta(days=days)).level == level


def test_a_renewed_certificate_counts(site: Site) -> None:
    later = NOW + timedelta(days=380)
    pki.issue_server_certificate(site.home, load_certificate_key(site.directory / "ca.key"), later)
    assert line(site, "validity", later).level == "ok"
    assert line(site, "keys-elsewhere", later).level == "ok"


def test_a_members_key_is_the_members_business(site: Site) -> None:
    found = line(site, "roster-keys", NOW + timedelta(days=370))
    assert (found.level, found.who) == ("failed", PeerError.exit_code)


def test_a_coordinator_that_has_enrolled_nobody(tmp_path: Path) -> None:
    site = Site(tmp_path).found()
    found = {finding.name: finding.level for finding in look(site)}
    assert (found["operators"], found["members"], found["roster-keys"]) == ("warning", "warning", "skipped")


def test_two_members_are_too_few(tmp_path: Path) -> None:
    assert line(federation(tmp_path, "BE", "BG"), "members").level == "warning"


def test_a_coordinator_for_models_only(tmp_path: Path) -> None:
    create_home(tmp_path / "coordinator", operator="Olga", key_file=tmp_path / "olga")
    found = {finding.name: finding for finding in checkup.examine(tmp_path / "coordinator", NOW)}
    assert "no-network" in found["network"].text
    assert found["keys-elsewhere"].level == "ok"
