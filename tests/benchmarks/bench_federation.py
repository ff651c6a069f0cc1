"""A federation on loopback beside stock Flower in the same run, `make bench-federation`.

Both: a coordinator and eight nodes as processes of their own, TLS, nodes known by their keys. Ours runs the
study of `make federation`. Stock is SuperLink, SuperNodes and executors as Flower ships them (a process for
each message), with an app whose nodes import what ours import and whose messages are of the same size.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "end_to_end"))

from loopback import Loopback, cpu, family, memory, wait_for
from measure import Measured, conditions, end_upon_signals, free_port, running, stop, study, what_is_run

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.transport import control
from safeborders_fed.transport.coordinator_service import transport_keys
from safeborders_fed.transport.superlink import SuperLinkSettings

STOCK_ROUNDS = 3
_STOCK_PATIENCE = 400.0
_APP = Path(__file__).resolve().parent / "stock-app"
_BIN = Path(sys.executable).parent


class Stock:
    """Stock Flower with the certificates and keys of a federation of ours that is stopped.

    Args:
        made: The federation.
    """

    def __init__(self, made: Loopback) -> None:
        self._made = made
        self._directory = made.root / "stock"
        self._directory.mkdir()
        self._pki = made.coordinator.home / "pki"
        home = CoordinatorHome.load(made.coordinator.home)
        ours = SuperLinkSettings.of(home)
        self._settings = SuperLinkSettings(
            self._directory, free_port(), ours.ca_certificate, ours.certificate, ours.key
        )
        self._keys = transport_keys(home, datetime.now(UTC).date())
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def _spawn(self, name: str, *arguments: object) -> None:
        home = self._directory / f"home-{name}"
        home.mkdir()
        with (self._directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*map(str, arguments)],
                env=self._environment(home),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self._directory,
            )

    def _environment(self, home: Path) -> dict[str, str]:
        return os.environ | {
            "PATH": f"{_BIN}:{os.environ['PATH']}",
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "OMP_NUM_THREADS": "1",
        }

    def start(self) -> None:
        """SuperLink, then its nodes; returns when all are started."""
        self._spawn(
            "superlink",
            _BIN / "flower-superlink",
            "--host=127.0.0.1",
            f"--port={self._settings.port}",
            f"--ssl-ca-certfile={self._settings.ca_certificate}",
            f"--ssl-certfile={self._settings.certificate}",
            f"--ssl-keyfile={self._settings.key}",
            "--enable-supernode-auth",
            f"--database={self._directory / 'superlink.sqlite'}",
        )
        wait_for(self._answers, 150, "stock SuperLink")
        control.register(self._settings, self._keys)
        for node in self._made.nodes:
            self._spawn(
                node,
                _BIN / "flower-supernode",
                f"--root-certificates={self._settings.ca_certificate}",
                f"--superlink={self._settings.address}",
                f"--auth-supernode-private-key={self._made.keys / f'{node}.key.transport'}",
                "--host=127.0.0.1",
                f"--port={free_port()}",
            )

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self._settings.ca_certificate))
        with (
            suppress(OSError),
            urllib.request.urlopen(f"https://{self._settings.address}/health", context=context, timeout=5),
        ):
            return True
        return False

    def run(self) -> Measured:
        """A few rounds; what they took."""
        marks = self._directory / "marks.json"
        home = self._directory / "home-cli"
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{self._settings.address}"\n'
            f'root-certificates = "{self._settings.ca_certificate}"\n',
            encoding="utf-8",
        )
        done = subprocess.run(
            [
                _BIN / "flwr",
                "run",
                _APP,
                "here",
                "--run-config",
                f'rounds={STOCK_ROUNDS} nodes={len(self._made.nodes)} marks="{marks}"',
            ],
            env=self._environment(home),
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"flwr run: {done.stdout}{done.stderr}")
        measured = Measured()

        def rounds() -> int:
            return len(json.loads(marks.read_text(encoding="utf-8"))) if marks.exists() else 0

        wait_for(rounds, _STOCK_PATIENCE, "stock Flower's first round")
        before, at = self.used(), rounds()
        wait_for(lambda: rounds() >= STOCK_ROUNDS, _STOCK_PATIENCE, "stock Flower's rounds")
        measured.spent = {"all": (self.used() - before) / (rounds() - at)}
        measured.held = {name: memory(family(process.pid)) for name, process in self._processes.items()}
        measured.rounds = json.loads(marks.read_text(encoding="utf-8"))
        return measured

    def used(self) -> float:
        """CPU seconds of all its processes so far, ended ones too."""
        return cpu([pid for process in self._processes.values() for pid in family(process.pid)])

    def stop(self) -> None:
        """Ends all its processes: they start others in sessions of their own, so by their numbers."""
        everybody = [pid for process in self._processes.values() for pid in family(process.pid)]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in everybody:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(2.0)
        for process in self._processes.values():
            process.wait(20)


def rows(ours: Measured, stock: Measured, where: str) -> list[dict[str, object]]:
    """What is written: a row for each figure of each, and their ratio."""
    found: list[dict[str, object]] = []
    for figure, mine, theirs in (
        ("seconds", statistics.median(ours.rounds), statistics.median(stock.rounds)),
        ("cpu seconds", ours.spent_in_all, stock.spent_in_all),
        ("mib", ours.held_in_all, stock.held_in_all),
    ):
        case = "memory of all (PSS)" if figure == "mib" else "a round"
        found += [
            {"case": case, "method": method, "figure": name, "value": value, "conditions": where}
            for method, name, value in (
                ("ours", figure, mine),
                ("stock Flower 1.41", figure, theirs),
                ("stock Flower 1.41", f"{figure}, times ours", theirs / mine),
            )
        ]
        print(
            f"{case:20} {figure:12} ours {mine:9.2f}   stock {theirs:9.2f}   stock is {theirs / mine:.1f} x"
        )
    return found


def main() -> None:
    end_upon_signals()
    ours = Measured()
    with running() as (made, _):
        study(made, ours)
        where = f"ours: {what_is_run()}; stock: {STOCK_ROUNDS} rounds of 500 numbers each way; {conditions()}"
        stop(made)
        stock = Stock(made)
        try:
            stock.start()
            theirs = stock.run()
        finally:
            stock.stop()
    Path("bench").mkdir(exist_ok=True)
    Path("bench/federation.json").write_text(
        json.dumps(rows(ours, theirs, where), indent=1), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
