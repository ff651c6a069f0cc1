"""What a team deploys: units that confine the services, container files, runbooks that name what exists."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from federation_of import ROOT
from safeborders_fed.node.limits import Limits

UNITS = {
    "node": ROOT / "node" / "safeborders-node.service",
    "coordinator": ROOT / "coordinator" / "safeborders-coordinator.service",
}
CONTAINERS = [ROOT / "node" / "Containerfile", ROOT / "coordinator" / "Containerfile"]
CONFINED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectProc": "invisible",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallArchitectures": "native",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "UMask": "0077",
    "LimitCORE": "0",
    "MemorySwapMax": "0",
    "User": "safeborders",
    "Restart": "always",
}
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
MOST_EXPOSED = 20
"""Tenths of systemd's exposure level (0 best, 10 worst): "OK" begins below 4.9, "SAFE" below 1."""


def directives(unit: Path, section: str) -> list[tuple[str, str]]:
    found, current = [], ""
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif line and not line.startswith("#") and current == section:
            name, _, value = line.partition("=")
            found.append((name, value))
    return found


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_a_service_is_confined(unit: Path) -> None:
    service = dict(directives(unit, "Service"))
    assert {name: service.get(name) for name in CONFINED} == CONFINED
    assert service["MemoryMax"].endswith("G")
    filters = [value for name, value in directives(unit, "Service") if name == "SystemCallFilter"]
    assert filters[0] == "@system-service", "an allow list, not a list of what is forbidden"
    assert filters[1] == "~@privileged @resources"


@pytest.mark.parametrize(("name", "unit"), UNITS.items(), ids=UNITS)
def test_a_service_writes_only_to_its_own_directory(name: str, unit: Path) -> None:
    service = dict(directives(unit, "Service"))
    home = f"/var/lib/safeborders/{name}"
    keys = " -/etc/safeborders/node" if name == "node" else ""  # which it renews
    assert service["ReadWritePaths"] == home + keys
    if name == "node":
        assert "StateDirectory" not in service, "systemd would undo the roles of its people at each start"
    else:
        assert f"/var/lib/{service['StateDirectory']}" == home
        assert service["StateDirectoryMode"] == "0700"
    assert service["ExecStart"] == f"/opt/safeborders/current/bin/safeborders {name} start --home {home}"


def test_errors_that_a_person_must_mend_end_the_service() -> None:
    for unit in UNITS.values():
        assert dict(directives(unit, "Service"))["RestartPreventExitStatus"] == "2 3 4 5"


def test_keys_come_as_credentials_under_the_names_of_the_key_files() -> None:
    loaded = [value for name, value in directives(UNITS["node"], "Service") if name == "LoadCredential"]
    pairs = [value.partition(":")[::2] for value in loaded]
    assert [name for name, _ in pairs] == ["node.key", "node.key.signing", "node.key.transport"]
    assert all(Path(path).name == name for name, path in pairs), "study.key_files.located goes by the name"


def test_the_executor_reaches_its_own_limit_before_the_service_reaches_that_of_the_unit() -> None:
    memory = dict(directives(UNITS["node"], "Service"))["MemoryMax"]
    assert int(memory.removesuffix("G")) * 1024 > Limits().memory_mib


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_systemd_accepts_the_unit_and_rates_it(unit: Path, tmp_path: Path) -> None:
    program = "/opt/safeborders/current/bin/safeborders"  # not installed here
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8").replace(program, "/bin/true"), encoding="utf-8")
    checked = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    rated = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", copy]
    done = subprocess.run(rated, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.parent.name)
def test_a_container_runs_as_nobody_and_tells_its_health(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    bases = [line for line in lines if line.startswith("FROM ")]
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases), "never a tag that moves by itself"
    assert "USER 10001:10001" in lines
    text = "\n".join(lines)
    assert f'CMD ["safeborders", "{path.parent.name}", "status"' in text
    assert "--fingerprint" in text, "the bundle is checked"
    assert "No container engine has run this file" in text


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.parent.name)
def test_the_linter_accepts_a_container_file(path: Path) -> None:
    done = subprocess.run([str(HADOLINT), path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_units_are_what_a_parser_of_such_files_reads() -> None:
    for unit in UNITS.values():
        ConfigParser(strict=False, interpolation=None).read_string(unit.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["node/README.md", "coordinator/README.md", "docs/installation.md"])
def test_a_runbook_names_files_that_exist(name: str) -> None:
    document = ROOT / name
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (document.parent / target).exists(), target
    for path in re.findall(r"/opt/safeborders/current/deploy/([\w./-]+\w)", text):
        assert (ROOT / path).exists(), path


def test_a_command_runs_as_the_service_with_the_same_keys(tmp_path: Path) -> None:
    fake = tmp_path / "systemd-run"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    command = [ROOT / "node" / "as-node.sh", "node", "ledger", "--home", "a b"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    given = done.stdout.splitlines()
    service = directives(UNITS["node"], "Service")
    loaded = {f"--property=LoadCredential={value}" for name, value in service if name == "LoadCredential"}
    assert loaded == {text for text in given if "LoadCredential" in text}
    assert "--property=User=safeborders" in given
    program = dict(service)["ExecStart"].split()[0]
    assert given[given.index("--") + 1 :] == [program, "node", "ledger", "--home", "a b"]
