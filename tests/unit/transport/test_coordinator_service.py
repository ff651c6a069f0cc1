"""What the coordinator's supervisor looks at while the service runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from safeborders_fed.audit.chain import Operation
from safeborders_fed.coordinator import pki, recording
from safeborders_fed.coordinator.founding import add_network
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.coordinator.study_files import studies
from safeborders_fed.study.key_files import load_certificate_key
from safeborders_fed.transport.coordinator_service import CoordinatorService
from safeborders_fed.transport.superlink import SuperLinkSettings

NOW = datetime.now(UTC)


@pytest.fixture
def home(tmp_path: Path) -> CoordinatorHome:
    made = create_home(tmp_path / "home", operator="Ana", key_file=tmp_path / "ana")
    add_network(made, address="localhost:9443", ca_key_file=tmp_path / "ca.key", now=NOW)
    study = made.path / "studies" / "s1"
    study.mkdir(parents=True)
    (study / "state.json").write_text("{}", encoding="utf-8")
    return CoordinatorHome.load(made.path)


def test_a_study_whose_files_are_damaged_does_not_stop_the_service(home: CoordinatorHome) -> None:
    service = CoordinatorService(home, lambda _: None)
    service._take_up(SuperLinkSettings.of(home))


def test_superlink_takes_up_a_renewed_certificate_once_and_between_studies(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    service = CoordinatorService(home, lambda _: None)
    assert service._watch() == set()
    (files,) = studies(home)
    with files.lock():
        pki.issue_server_certificate(home, load_certificate_key(tmp_path / "ca.key"), NOW)
        assert service._watch() == set()
    assert service._watch() == {"superlink"}
    assert service._watch() == set()


def test_the_service_logs_what_waits_and_goes_on_without_a_log_that_it_cannot_write(
    home: CoordinatorHome, caplog: pytest.LogCaptureFixture
) -> None:
    service = CoordinatorService(home, lambda _: None)
    log = home.path / "audit.jsonl"
    before = log.read_bytes()
    recording.note(home, Operation.EXPORT, who="Ana", why="a test")
    service._log()
    assert log.read_bytes().startswith(before)
    assert log.read_bytes().count(b"\n") == before.count(b"\n") + 1
    recording.note(home, Operation.EXPORT, who="Ana", why="a test")
    log.write_bytes(before.replace(b"Ana", b"Eve"))
    service._log()
    service._log()
    assert [record.message.count("audit-log-altered") for record in caplog.records] == [1]
