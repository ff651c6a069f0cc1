"""The commands of ``safeborders node policy``: what the node permits, and whether it permits a study.

Guarantees: nothing in the node's directory is written. Exit code 0: permitted; 5: something stands against
it; 4: the policy is missing or wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from safeborders_fed.cli import output

app = typer.Typer(help="Look at what this node permits.", no_args_is_help=True, rich_markup_mode=None)

Study = Annotated[
    str | None, typer.Argument(help="A study that this node was offered, or the file of a manifest.")
]
Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.callback()
def _group() -> None:
    """Keeps the name of the one command."""


@app.command()
def check(home: Home, study: Study = None, as_json: Json = False) -> int:
    """Say in plain words what the policy permits and, given a study, all that stands against it here."""
    from safeborders_fed.errors import ConfigurationError, RefusedError
    from safeborders_fed.node import policy_check
    from safeborders_fed.node.journal import now
    from safeborders_fed.node.settings import NodeSettings

    settings, at = NodeSettings.load(home), now()
    content = policy_check.explained(settings, at)
    text = _text(content)
    code = ConfigurationError.exit_code if content["wrong"] else 0
    if study is not None:
        manifest, signed = policy_check.study_of(settings, study)
        found = policy_check.against(settings, manifest, at)
        content |= {
            "study": manifest.id,
            "hash": manifest.hash(),
            "signature_checked": signed,
            "permitted": not found,
            "objections": [{"term": entry.term, "what": entry.what, "fix": entry.fix} for entry in found],
        }
        text += f"\n\n{_verdict(content)}"
        code = code or (RefusedError.exit_code if found else 0)
    output.result(content, text, as_json=as_json)
    return code


def _verdict(content: dict[str, Any]) -> str:
    unsigned = "" if content["signature_checked"] else "\n(whose signature, if any, was not checked)"
    if content["permitted"]:
        closed = content["hours"] is not None and not content["hours"]["open_now"]
        hint = f", from {content['hours']['next_opening'][:16].replace('T', ' ')} on" if closed else ""
        return f"Study {content['study']} is permitted here{hint}, once enough people approve it.{unsigned}"
    lines = [f"Study {content['study']} is NOT permitted here:{unsigned}"]
    for entry in content["objections"]:
        lines += [f"  - {entry['term']}: {entry['what']}", f"    Fix: {entry['fix']}"]
    return "\n".join(lines)


def _text(content: dict[str, Any]) -> str:
    rho = content["caps_rho"]
    lines = {
        "Analyses": ", ".join(content["analyses"]),
        "Columns": ", ".join(content["columns"]),
        "Purposes": ", ".join(content["purposes"]),
        "Populations": ", ".join(content["populations"]),
        "A study": f"epsilon {content['epsilon_per_study']:g} (rho {rho['study']:.4g}) at most",
        "A year": _span(content, "year", content["epsilon_per_year"]),
        "Ever": _span(content, "lifetime", content["epsilon_lifetime"]),
        "Lasts": _lasts(content["lasts"]),
        "Victims": _victims(content),
        "States": f"{content['minimum_participants']} at least; masked studies withstand "
        f"{content['least_tolerated_colluders']} colluding ones at least",
        "Answers": f"leave every {content['least_tick_seconds']:g} s or more seldom",
        "Approvals": f"{content['approvals_needed']} people must approve a study",
        "Hours": _hours(content),
        "Links": _links(content["links"]),
    }
    text = [f"Node {content['node']} permits, and nothing else (delta {content['delta']:g}):"]
    text += [f"{name + ':':<13}{line}" for name, line in lines.items()]
    text += [f"WRONG: {line}" for line in content["wrong"]]
    text += [f"Look again: {line}" for line in content["doubtful"]]
    return "\n".join(text)


def _links(links: dict[str, Any] | None) -> str:
    if links is None:
        return "none with other states"
    return (
        f"with {', '.join(links['partners'])}; for {', '.join(links['purposes'])}; compares "
        f"{', '.join(links['types'])}, its own of {', '.join(links['owners'])}; answers each state for "
        f"{links['monthly']:,} points a type and month and {links['first_load']:,} more once a year; "
        f"{links['approvals_needed']} prosecutors must sign a batch or a hit"
    )


def _span(content: dict[str, Any], span: str, epsilon: float) -> str:
    cap, left = content["caps_rho"][span], content["left_rho"][span]
    return f"epsilon {epsilon:g} (rho {cap:.4g}) of all studies together; {left / cap:.0%} of its rho is left"


def _lasts(lasts: dict[str, Any]) -> str:
    if not lasts["quarters_a_year"]:
        return "not even one study of the largest size a year, with its count of victims"
    return (
        f"{lasts['studies_a_year']} studies of the largest size a year, {lasts['studies_ever']} ever: with "
        f"one a quarter, {lasts['quarters_a_year']} quarters of each year and {lasts['years']:.3g} years"
    )


def _victims(content: dict[str, Any]) -> str:
    count = content["count"]
    if not content["least_victims"]:
        return "a study's population may be of any size here; nothing is counted"
    return (
        f"{content['least_victims']:,} at least in a study's population here, counted with noise of "
        f"{count['sigma']:g} once for each population and import: rho {count['rho']:.3g}, "
        f"{count['share_of_year']:.2%} of a year's cap, {count['share_of_lifetime']:.2%} of the lifetime's"
    )


def _hours(content: dict[str, Any]) -> str:
    if content["hours"] is None:
        return "studies are taken on at any time"
    now = "open" if content["hours"]["open_now"] else "closed"
    following = content["hours"]["next_opening"][:16].replace("T", " ")
    return (
        f"studies are taken on {', '.join(content['opening_hours'])} ({content['time_zone']}), now {now}, "
        f"next from {following}; one under way goes on to its end"
    )
