"""The commands of ``safeborders audit``: does the product keep what it promises.

Guarantees: each command parses, calls one function and prints; everything heavy is imported inside it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.simulation.privacy_audit import Finding, Options

_ESTIMATE: Final = ("Gaussian estimate", "from", "to")

app = typer.Typer(
    help="Check that what runs keeps what is promised.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Keeps ``privacy`` a command of its own, though it is the only one."""


@app.command()
def privacy(
    analysis: Annotated[
        str, typer.Option(help="The analysis to audit: logistic, neural, trends or typology.")
    ],
    epsilon: Annotated[
        float, typer.Option(min=0.01, max=100.0, help="Privacy budget of the study that is audited.")
    ] = 1.0,
    trust: Annotated[Literal["masked", "local"], typer.Option(help="Trust mode.")] = "masked",
    rounds: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Rounds of training. Default: 8. Not for trends.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Audits, each of a study of its own.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the made-up victims; noise is never seeded.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Insert canaries into a whole federation in this process, and estimate the epsilon that they lose."""
    from safeborders_fed.errors import DefectError
    from safeborders_fed.simulation.privacy_audit import Options, audit

    options = Options(analysis=analysis, epsilon=epsilon, trust=trust, rounds=rounds, seed=seed)
    findings = []
    for run in range(runs):
        findings.append(audit(options))
        if as_json:
            output.result({"status": {"run": run + 1} | _content(findings[-1])}, "", as_json=True)
        elif runs > 1:
            output.message(f"audit {run + 1} of {runs}")
    accused = [finding for finding in findings if finding.accused]
    if not as_json:
        output.result({}, _text(options, findings), as_json=False)
    if accused:
        raise DefectError(
            "privacy-claim-violated",
            f"{len(accused)} of {len(findings)} audits: {_accusation(accused[0])}",
            "do not run studies of this analysis with this version; report the figures above",
        )
    if as_json:
        summary = {
            "analysis": analysis,
            "trust": trust,
            "delta": options.delta,
            "runs": runs,
            "accused": len(accused),
        }
        output.result({"summary": summary}, "", as_json=True)


def _content(finding: Finding) -> dict[str, Any]:
    one_run = finding.one_run
    return {
        "rounds": finding.rounds,
        "attempts": finding.attempts,
        "budget_epsilon": finding.budget,
        "claimed_epsilon": finding.claimed,
        "gaussian_epsilon": _number(finding.estimate),
        "gaussian_epsilon_low": _number(finding.low),
        "gaussian_epsilon_high": _number(finding.high),
        "one_run": {
            "canaries": one_run.canaries,
            "guessed": one_run.guessed,
            "correct": one_run.correct,
            "epsilon_at_least": one_run.epsilon,
        },
        "stages": [
            {
                "stage": stage.stage,
                "node": stage.node,
                "attempts": stage.attempts,
                "rho_charged": stage.charged,
                "rho": _number(stage.estimate),
                "rho_low": _number(stage.low),
                "rho_high": _number(stage.high),
                "accused": stage.accused,
            }
            for stage in finding.stages
        ],
        "accused": finding.accused,
    }


def _number(value: float) -> float | None:
    """JSON has no infinity: null stands for "no bound at all"."""
    return value if math.isfinite(value) else None


def _text(options: Options, findings: list[Finding]) -> str:
    header = ["analysis", "rounds", "attempts", "claimed epsilon", *_ESTIMATE, "one-run bound", "verdict"]
    rows = [
        [
            options.analysis,
            finding.rounds,
            finding.attempts,
            *_figures(finding.claimed, finding.estimate, finding.low, finding.high),
            *_figures(finding.one_run.epsilon),
            _verdict(accused=finding.accused),
        ]
        for finding in findings
    ]
    stage_rows = [
        [
            stage.stage,
            stage.node,
            stage.attempts,
            *_figures(stage.charged, stage.estimate, stage.low, stage.high, digits=5),
            _verdict(accused=stage.accused),
        ]
        for finding in findings
        for stage in finding.stages
    ]
    accused = sum(finding.accused for finding in findings)
    verdict = (
        f"In {accused} of {len(findings)} audits a victim certainly lost more than the ledger charged."
        if accused
        else "Nothing shows that a victim lost more than the ledger charged."
    )
    return (
        f"{output.table(header, rows)}\n\n"
        f"{output.table(['stage', 'node', 'attempts', 'charged rho', *_ESTIMATE, 'verdict'], stage_rows)}\n\n"
        f"{verdict}\n"
        f"Epsilon at delta {options.delta:g}, trust mode {options.trust}, exact for the Gaussian. "
        f"By the accountant's conversion the whole budget is {findings[0].budget:.3f}."
    )


def _figures(*values: float, digits: int = 3) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def _verdict(*, accused: bool) -> str:
    return "accused" if accused else "not accused"


def _accusation(finding: Finding) -> str:
    stage = next(stage for stage in finding.stages if stage.accused)
    return (
        f"in stage {stage.stage} a victim of {stage.node} loses at least rho {stage.low:.4g} "
        f"and {stage.charged:.4g} was charged"
    )
