"""The audit acquits the product and calls out each wrong mechanism.

False alarms: an honest mechanism is accused with a chance of at most 1e-11 an audit (``FALSE_ALARM``), and
called blind with no greater one. Each fault below is put into the product's own code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from safeborders_fed.analyses import detection, gradient_rounds, newton, trends, typology
from safeborders_fed.cases.contract import Field
from safeborders_fed.cases.encoding import Victims, merge
from safeborders_fed.cli import main
from safeborders_fed.errors import DefectError, UsageError
from safeborders_fed.node import participant
from safeborders_fed.node.door import Door
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import Factor, Scaled
from safeborders_fed.simulation import audit_evidence, audit_view
from safeborders_fed.simulation.audit_evidence import gather
from safeborders_fed.simulation.privacy_audit import FALSE_ALARM, Finding, Options, audit, parameters
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.manifest import Manifest

ANALYSES = ("logistic", "neural", "trends", "typology")
OFTEN = ("logistic", "trends")
"""Audited a hundred times: one analysis of many rounds, one of few. All take the same door."""
TRUST = ("masked", "local")
Patch = pytest.MonkeyPatch


def scale_all_noise(patch: Patch, factor: float) -> None:
    share = Manifest.share
    patch.setattr(Manifest, "share", lambda self, *terms: factor * share(self, *terms))


def sigma_halved(patch: Patch) -> None:
    scale_all_noise(patch, 0.5)


def share_missing(patch: Patch) -> None:
    make = Door.__init__

    def without_noise(self: Door, identity: object, *parts: object) -> None:
        make(self, identity, *parts)  # type: ignore[arg-type] - passed on as it came
        if identity.node == "FI":  # type: ignore[attr-defined]
            self._noise = lambda _, size: np.zeros(size, np.int64)

    patch.setattr(Door, "__init__", without_noise)


class Unchecked(BoundedSumBuilder):
    """Adds rows of any length, products and cells twice."""

    def add_rows(self, rows: np.ndarray) -> None:
        self._values += rows.sum(axis=0)

    def add_products(self, blocks: Sequence[tuple[Factor, np.ndarray]]) -> None:
        parts = [left.combine(2 * np.trunc(right).astype(np.int64)).ravel() for left, right in blocks]
        self._values += np.concatenate(parts)

    def add_moments(self, left: Scaled, amounts: np.ndarray) -> None:
        self._values += left.moments(2 * amounts)

    def add_cells(self, cells: np.ndarray, amounts: np.ndarray) -> None:
        super().add_cells(cells, amounts)
        super().add_cells(cells, amounts)


def bound_not_enforced(patch: Patch) -> None:
    for module in (detection, gradient_rounds, newton, trends, typology):
        patch.setattr(module, "BoundedSumBuilder", Unchecked)


def retry_not_charged(patch: Patch) -> None:
    """Rounds are charged, attempts are not."""
    spend = Ledger.spend
    charged: set[tuple[int, str, int]] = set()

    def once_a_round(
        self: Ledger,
        key: tuple[str, int, int],
        request_hash: str,
        payload: bytes,
        rho: float,
        *,
        heads: Mapping[str, Head] | None = None,
    ) -> bytes:
        this = (id(self), key[0], key[1])
        cost = 1e-12 if this in charged else rho
        charged.add(this)
        return spend(self, key, request_hash, payload, cost, heads=heads)

    patch.setattr(Ledger, "spend", once_a_round)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    sigma_halved,
    share_missing,
    bound_not_enforced,
    retry_not_charged,
)


@pytest.mark.parametrize("trust", TRUST)
@pytest.mark.parametrize("analysis", ANALYSES)
def test_the_right_mechanism_is_not_accused(analysis: str, trust: str) -> None:
    finding = audit(Options(analysis=analysis, trust=trust))
    assert not finding.accused
    assert finding.low < finding.claimed < finding.budget <= 1
    assert finding.low < finding.estimate < finding.high
    assert finding.attempts == finding.rounds + len(audit_view.WITHHELD)


@pytest.mark.parametrize(
    ("analysis", "trust"),
    [
        ("logistic", "masked"),
        ("trends", "masked"),
        ("trends", "local"),
        pytest.param("logistic", "local", marks=pytest.mark.slow),
        *(pytest.param(name, trust, marks=pytest.mark.slow) for name in ANALYSES[1::2] for trust in TRUST),
    ],
)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_wrong_mechanism_is_called_out(
    monkeypatch: Patch, fault: Callable[[Patch], None], analysis: str, trust: str
) -> None:
    fault(monkeypatch)
    finding = audit(Options(analysis=analysis, trust=trust))
    assert finding.accused
    # Three retries among many rounds are a stage's fault, and little of the whole.
    assert any(stage.estimate > stage.charged for stage in finding.stages)


def test_the_weakest_stage_is_judged_on_its_own(monkeypatch: Patch) -> None:
    share = Manifest.share

    def one_stage(self: Manifest, stage: str, participants: int) -> float:
        return share(self, stage, participants) * (0.5 if stage == "statistics" else 1)

    monkeypatch.setattr(Manifest, "share", one_stage)
    finding = audit(Options(analysis="logistic"))
    assert [stage.stage for stage in finding.stages if stage.accused] == ["statistics"]


@pytest.mark.parametrize("analysis", ANALYSES)
def test_canaries_move_a_sum_as_far_as_the_bound_allows(analysis: str, tmp_path: Path) -> None:
    """Else a lax bound would be measured with a short ruler."""
    options = Options(analysis=analysis)
    terms = audit_view.Terms(analysis, parameters(options), "masked", 0.02, options.delta)
    view = audit_view.observe(terms, options.seed, tmp_path)
    evidence = gather(view)
    for at, stage in enumerate(view.manifest.stages):
        longest = evidence.costs[:, at].max() / evidence.charged["FI", stage.name]
        assert 0.99 < longest <= 1


def test_records_counted_for_victims_are_called_out(monkeypatch: Patch) -> None:
    """Every canary has two records."""

    def each_record(table: pa.Table, fields: Sequence[Field]) -> Victims:
        victims = merge(table, fields)
        names, counts = np.unique(np.array(table["victim"].to_pylist()), return_counts=True)
        return victims.take(np.repeat(np.arange(len(names)), counts))

    monkeypatch.setattr(participant, "merge", each_record)
    monkeypatch.setattr(audit_evidence, "merge", each_record)
    assert audit(Options(analysis="trends")).accused


def test_more_noise_than_stated_is_not_taken_for_privacy(monkeypatch: Patch) -> None:
    scale_all_noise(monkeypatch, 1.3)
    with pytest.raises(DefectError, match="times the noise") as caught:
        audit(Options(analysis="trends"))
    assert caught.value.code == "audit-blind"


def test_the_one_run_bound_grows_with_epsilon() -> None:
    finding = audit(Options(analysis="trends", epsilon=50.0))
    assert 1 < finding.one_run.epsilon < finding.claimed


def test_noise_does_not_follow_from_the_seed() -> None:
    first, second = (audit(Options(analysis="trends", seed=3)) for _ in range(2))
    assert first.estimate != second.estimate
    assert first.claimed == second.claimed


@pytest.mark.parametrize(
    ("options", "code"),
    [(Options(analysis="links"), "not-audited"), (Options(analysis="trends", rounds=3), "no-rounds")],
)
def test_what_cannot_be_audited_is_a_usage_error(options: Options, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        audit(options)
    assert caught.value.code == code


def test_the_command_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["audit", "privacy", "--analysis", "trends"]) == 0
    printed = capsys.readouterr().out
    assert "not accused" in printed
    assert "Nothing shows that a victim lost more" in printed
    assert main.run(["audit", "privacy", "--analysis", "trends", "--runs", "2", "--json"]) == 0
    *statuses, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"]["run"] for line in statuses] == [1, 2]
    assert last["summary"]["accused"] == 0


def test_the_command_fails_with_a_code_when_a_claim_is_violated(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    share_missing(monkeypatch)
    arguments = ["audit", "privacy", "--analysis", "trends", "--trust", "local"]
    assert main.run(arguments) == 1
    printed = capsys.readouterr()
    assert "a victim certainly lost more" in printed.out
    assert "privacy-claim-violated" in printed.err
    assert "a victim of FI loses at least rho inf" in printed.err
    assert main.run([*arguments, "--json"]) == 1
    status, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status["status"]["gaussian_epsilon"] is None, "JSON has no infinity"
    assert last["error"]["code"] == "privacy-claim-violated"


def hundred(analysis: str) -> list[Finding]:
    rounds = None if analysis == "trends" else 2
    return [audit(Options(analysis=analysis, rounds=rounds)) for _ in range(100)]


@pytest.mark.slow
@pytest.mark.parametrize("analysis", OFTEN)
def test_the_right_mechanism_is_accused_in_none_of_a_hundred_runs(analysis: str) -> None:
    """False alarm: 100 times ``FALSE_ALARM``, twice (accused or blind)."""
    assert math.isclose(200 * FALSE_ALARM, 2e-9)
    assert not any(finding.accused for finding in hundred(analysis))


@pytest.mark.slow
@pytest.mark.parametrize("analysis", OFTEN)
def test_half_of_sigma_is_found_in_at_least_95_of_a_hundred_runs(monkeypatch: Patch, analysis: str) -> None:
    sigma_halved(monkeypatch)
    assert sum(finding.accused for finding in hundred(analysis)) >= 95
