"""What the coordinator's supervisor looks at while the service runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.founding import add_network
from safeborders_fed.coordinator.home import create_home
from safeborders_fed.coordinator.study_files import studies
from safeborders_fed.study.key_files import load_certificate_key
from safeborders_fed.transport.coordinator_service import CoordinatorService


def test_superlink_takes_up_a_renewed_certificate_once_and_between_studies(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    home = create_home(tmp_path / "home", operator="Ana", key_file=tmp_path / "ana")
    home = add_network(home, address="localhost:9443", ca_key_file=tmp_path / "ca.key", now=now)
    service = CoordinatorService(home, lambda _: None)
    assert service._watch() == set()
    study = home.path / "studies" / "s1"
    study.mkdir(parents=True)
    (study / "state.json").write_text("{}", encoding="utf-8")
    (files,) = studies(home)
    with files.lock():
        pki.issue_server_certificate(home, load_certificate_key(tmp_path / "ca.key"), now)
        assert service._watch() == set()
    assert service._watch() == {"superlink"}
    assert service._watch() == set()
