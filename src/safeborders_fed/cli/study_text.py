"""A study's terms in plain words, for the people of both sides."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from safeborders_fed.cli.output import one_line

if TYPE_CHECKING:
    from safeborders_fed.analyses.expectation import Expected
    from safeborders_fed.study.manifest import Manifest

_WIDTH: Final = 100


def terms(manifest: Manifest) -> str:
    """What people read before they sign, the hash last."""
    rounds = sum(stage.rounds for stage in manifest.stages)
    population = manifest.parameters.get("population", "all")
    pace = f"answers leave every {manifest.tick_seconds:g} s"
    if not manifest.tick_seconds:
        pace = "answers leave at once, and the time that one takes TELLS HOW MANY VICTIMS a state has"
    lines = {
        "Study": f"{manifest.id}, until {manifest.expires}",
        "Purpose": f"{manifest.purpose} ({manifest.purpose_category})",
        "Legal basis": manifest.legal_basis,
        "Analysis": manifest.analysis,
        "Columns": ", ".join(manifest.columns),
        "Population": f"{population}; at most {manifest.max_victims:,} victims at a state",
        "States": f"{' '.join(manifest.participants)}; at least {manifest.minimum_participants} of them",
        "Trust": _trust(manifest),
        "Rounds": f"{rounds}, and up to {manifest.retries} retries; {pace}",
        "Unit": manifest.unit,
        "Costs": f"epsilon {manifest.epsilon:.4g} at delta {manifest.delta:g} (rho {manifest.rho:.4g})",
        "Noise": noise(manifest),
        "Version": f"drafted by {manifest.software_version}: {_versions(manifest)}",
        "Hash": manifest.hash(),
    }
    return "\n".join(f"{name + ':':<13}{one_line(text)}" for name, text in lines.items())


def expectation(found: Expected) -> str:
    """What is expected of the accuracy, for both sides."""
    width = max((len(figure.what) for figure in found.figures), default=0)
    lines = [f"  {figure.what:<{width}}  {figure.text()}" for figure in found.figures]
    remark = textwrap.wrap(found.remark, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(["Expected:    if all states take part, from public numbers only", *lines, *remark])


def noise(manifest: Manifest) -> str:
    """The noise of each stage, as a multiple of what one victim can change."""
    count = len(manifest.participants)
    parts = [
        f"{entry.name} {manifest.noise(entry.name, count) / entry.bound:,.3g}" for entry in manifest.stages
    ]
    return f"{', '.join(parts)} times the most that one victim changes a sum"


def _trust(manifest: Manifest) -> str:
    if manifest.trust == "local":
        return "local: each state adds all of the noise, and the coordinator sees each state's sum"
    colluders = manifest.tolerated_colluders
    return f"masked: only sums are seen, also by the coordinator together with {colluders} of the states"


def _versions(manifest: Manifest) -> str:
    return f"protocol {manifest.protocol}, data contract {manifest.contract_version}"
