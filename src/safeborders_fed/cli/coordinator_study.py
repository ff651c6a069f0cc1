"""The commands of ``safeborders coordinator study``: from a draft to a release.

Guarantees: each command parses, calls one function and prints. What runs a study is the coordinator's
service; these commands ask it to, and read the study's files.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safeborders_fed.cli import audit_log, output, wishes
from safeborders_fed.cli.study_text import expectation, terms

if TYPE_CHECKING:
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.study_files import StudyFiles

app = typer.Typer(help="Draft, launch and watch studies.", no_args_is_help=True, rich_markup_mode=None)
app.command("anchors")(audit_log.study_anchors)

Study = Annotated[str, typer.Argument(help="The study's name: lower-case letters, digits, hyphens.")]
Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]
Assumed = Annotated[
    int | None,
    typer.Option(
        "--assume-victims", min=1, max=10_000_000, help="Expected accuracy for so many victims in all states."
    ),
]
_MOST_VICTIMS = 2_000_000


@app.command()
def draft(
    home: Home,
    study: Annotated[str | None, Study.__metadata__[0]] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Draft nothing: show what a year of planned studies costs (TOML).")
    ] = None,
    analysis: Annotated[str | None, typer.Option(help="logistic, neural, trends or typology.")] = None,
    epsilon: Annotated[
        float | None, typer.Option(min=0.0, help="What all of it may cost one victim, at delta.")
    ] = None,
    purpose: Annotated[str | None, typer.Option(help="What it is for; every state's people read it.")] = None,
    legal_basis: Annotated[str | None, typer.Option(help="The law that permits it.")] = None,
    expires: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Its last day.")] = None,
    parameters: Annotated[Path | None, typer.Option(help="Parameters of the analysis (TOML).")] = None,
    category: Annotated[
        str | None,
        typer.Option(help="What the purpose comes under (default: what the analysis is made for)."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Who drafts it, for the states too (default: your user name).")
    ] = None,
    delta: Annotated[float, typer.Option(help="The delta at which epsilon is meant.")] = 1e-6,
    retries: Annotated[int, typer.Option(min=0, help="Attempts paid for beyond one a round.")] = 2,
    tick: Annotated[float, typer.Option(min=0.0, help="Seconds: answers leave at multiples of it.")] = 2.0,
    colluders: Annotated[int, typer.Option(min=0, help="States that may collude with the coordinator.")] = 1,
    minimum: Annotated[
        int | None, typer.Option(min=1, help="Fewest states (default: more than half).")
    ] = None,
    trust: Annotated[
        str, typer.Option(help="masked, or local: each state adds all of the noise.")
    ] = "masked",
    max_victims: Annotated[
        int, typer.Option(min=1, help="Public cap on victims at a state.")
    ] = _MOST_VICTIMS,
    assume_victims: Assumed = None,
    as_json: Json = False,
) -> int:
    """Draft a study and show what it costs, or what a year of them costs. Nobody is asked anything yet."""
    from safeborders_fed.coordinator import drafting
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.members import current_roster
    from safeborders_fed.privacy.accounting import rho_for
    from safeborders_fed.study.draft import Wish
    from safeborders_fed.study.expected import expected
    from safeborders_fed.study.machine import user

    coordinator = CoordinatorHome.load(home)
    if plan is not None:
        wishes.require_none(study, analysis, epsilon, purpose, legal_basis, expires, parameters)
        return wishes.show_plan(coordinator, plan, as_json=as_json)
    name, rho = wishes.given("a name", study), rho_for(wishes.given("--epsilon", epsilon), delta)
    why, law = wishes.given("--purpose", purpose), wishes.given("--legal-basis", legal_basis)
    what, last = wishes.given("--analysis", analysis), wishes.given("--expires", expires)
    roster = current_roster(coordinator)
    wish = Wish(
        id=name,
        purpose=why,
        legal_basis=law,
        analysis=what,
        parameters=wishes.parameters(parameters),
        participants=tuple(roster.roster.keys()),
        roster_hash=roster.roster.hash(),
        rho=rho,
        delta=delta,
        expires=last.date(),
        max_victims=max_victims,
        trust=wishes.trust(trust),
        retries=retries,
        tick_seconds=tick,
        tolerated_colluders=colluders,
        minimum_participants=minimum,
        purpose_category=wishes.category(category),
    )
    manifest = drafting.draft(coordinator, wish, roster, by=by or user())
    accuracy = expected(manifest, assume_victims)
    content = {
        "manifest": manifest.model_dump(mode="json"),
        "hash": manifest.hash(),
        "expected": accuracy.content(),
    }
    hint = f"Next: safeborders coordinator study publish {name} --by NAME --key-file FILE --hash HASH"
    output.result(content, f"{terms(manifest)}\n{expectation(accuracy)}\n{hint}", as_json=as_json)
    return 0


@app.command()
def publish(
    study: Study,
    home: Home,
    by: Annotated[str, typer.Option("--by", help="Your name, as enrolled.")],
    key_file: Annotated[Path, typer.Option("--key-file", help="Your key file.")],
    manifest_hash: Annotated[
        str, typer.Option("--hash", help="The hash that `draft` showed: what you sign.")
    ],
    as_json: Json = False,
) -> None:
    """Sign a draft and offer it to all states."""
    from safeborders_fed.coordinator import drafting
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.key_files import load_key

    coordinator = CoordinatorHome.load(home)
    manifest = drafting.publish(
        coordinator, study, by=by, key=load_key(key_file), manifest_hash=manifest_hash
    )
    offered = _try_to_start(coordinator, "offer", study)
    text = f"Study {study} is published: {manifest.hash()}\nEach state's people now approve or refuse it."
    content = {"study": study, "hash": manifest.hash(), "state": "published", "offered": offered}
    output.result(content, text, as_json=as_json)


@app.command()
def offer(study: Study, home: Home, as_json: Json = False) -> None:
    """Ask all states again where they stand on a published study; `show` tells their answers."""
    from safeborders_fed.coordinator.home import CoordinatorHome

    coordinator = CoordinatorHome.load(home)
    _require_state(coordinator, study, {"published", "running"})
    _start(coordinator, "offer", study)
    text = f"All states are being asked. Their answers: safeborders coordinator study show {study}"
    output.result({"study": study, "offered": True}, text, as_json=as_json)


@app.command()
def launch(study: Study, home: Home, detach: Detach = False, as_json: Json = False) -> None:
    """Run a study that enough states have approved, and follow it. Interrupting stops the watching only."""
    _run(home, study, {"published"}, detach=detach, as_json=as_json)


@app.command()
def resume(study: Study, home: Home, detach: Detach = False, as_json: Json = False) -> None:
    """Go on with a run that was cut off, or hand the record of one that has ended to states that lack it."""
    states = {"running", "finished", "failed", "withdrawn"}
    _run(home, study, states, detach=detach, as_json=as_json)


@app.command()
def watch(study: Study, home: Home, as_json: Json = False) -> None:
    """Follow the last run of a study to its end. Interrupting stops the watching only."""
    from safeborders_fed.cli import watching
    from safeborders_fed.coordinator.home import CoordinatorHome

    files = _require_state(CoordinatorHome.load(home), study, None)
    watching.watch(files, after=None, as_json=as_json)


@app.command()
def withdraw(
    study: Study,
    home: Home,
    reason: Annotated[str, typer.Option(help="Why; the states read it.")],
    by: Annotated[
        str | None,
        typer.Option("--by", help="Who withdraws it, for the states too (default: your user name)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Withdraw a study. A run ends after its round; states are told and release what they reserved."""
    from safeborders_fed.coordinator import drafting
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.machine import user

    coordinator = CoordinatorHome.load(home)
    done = drafting.withdraw(coordinator, study, by=by or user(), why=reason)
    if done and _require_state(coordinator, study, None).is_published():
        _try_to_start(coordinator, "conduct", study)
    text = f"Study {study} is withdrawn." if done else f"Study {study} will be withdrawn after its round."
    output.result({"study": study, "withdrawn": done}, text, as_json=as_json)


@app.command("list")
def list_studies(home: Home, as_json: Json = False) -> None:
    """List all studies and how far each is."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.study_files import studies
    from safeborders_fed.errors import ConfigurationError

    rows: list[dict[str, Any]] = []
    for files in studies(CoordinatorHome.load(home)):
        try:
            state = files.state()
        except ConfigurationError as error:  # the others are listed all the same
            rows.append({"study": files.study, "state": error.code, "approved": [], "since": ""})
            continue
        approved = [
            node for node, word in state.nodes.items() if word.status in {"approved", "taken-on", "ended"}
        ]
        rows.append(
            {
                "study": files.study,
                "state": state.state,
                "approved": approved,
                "since": state.changes[-1].at[:19],
            }
        )
    table = output.table(
        ("study", "state", "approved by", "since"),
        [[row["study"], row["state"], " ".join(row["approved"]) or "-", row["since"]] for row in rows],
    )
    output.result({"studies": rows}, table if rows else "There is no study yet.", as_json=as_json)


@app.command()
def show(study: Study, home: Home, assume_victims: Assumed = None, as_json: Json = False) -> None:
    """Show a study: terms, costs, expected accuracy, where each state stands, and all changes."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.expected import expected
    from safeborders_fed.study.reviews import in_words

    files = _require_state(CoordinatorHome.load(home), study, None)
    state, manifest = files.state(), files.manifest()
    accuracy = expected(manifest, assume_victims)
    content = {
        "state": state.model_dump(mode="json") | {"state": state.state},
        "manifest": manifest.model_dump(mode="json"),
        "hash": manifest.hash(),
        "expected": accuracy.content(),
    }
    lines = [f"State:       {state.state}", terms(manifest), expectation(accuracy)]
    lines += [
        f"  {node}: {word.status}{f' ({word.reason})' if word.reason else ''}, {word.at[:19]}"
        for node, word in state.nodes.items()
    ]
    said = in_words(state.reviews)
    lines += [f"Shared reviews: {said}"] if said else []
    lines += [f"  {node}: {word.advice}" for node, word in state.nodes.items() if word.advice]
    lines += [
        output.one_line(f"{change.at[:19]} {change.state} by {change.by}: {change.why}")
        for change in state.changes
    ]
    if state.error is not None:
        lines.append(f"Last error [{state.error.code}]: {state.error.cause}\nFix: {state.error.fix}")
    output.result(content, "\n".join(lines), as_json=as_json)


def _run(home: Path, study: str, states: set[str], *, detach: bool, as_json: bool) -> None:
    from safeborders_fed.cli import watching
    from safeborders_fed.coordinator.following import runs
    from safeborders_fed.coordinator.home import CoordinatorHome

    coordinator = CoordinatorHome.load(home)
    files = _require_state(coordinator, study, states)
    before = runs(files)
    _start(coordinator, "conduct", study)
    if not detach:
        watching.watch(files, after=before, as_json=as_json)
        return
    text = f"Study {study} is running. Follow it with: safeborders coordinator study watch {study}"
    output.result({"study": study, "started": True}, text, as_json=as_json)


def _require_state(home: CoordinatorHome, study: str, states: set[str] | None) -> StudyFiles:
    """The files of a study in one of these states.

    Raises:
        RefusedError: ``wrong-state``.
    """
    from safeborders_fed.coordinator.study_files import StudyFiles
    from safeborders_fed.errors import RefusedError

    files = StudyFiles(home, study)
    state = files.state().state
    if states is not None and state not in states:
        commands = {"draft": "publish", "published": "launch", "running": "resume"}
        raise RefusedError(
            "wrong-state",
            f"study {study!r} is {state}",
            f"use `safeborders coordinator study {commands.get(state, 'show')} {study}`",
        )
    return files


def _start(home: CoordinatorHome, action: Literal["offer", "conduct"], study: str) -> None:
    from safeborders_fed.transport import control

    control.start(home, action, study)


def _try_to_start(home: CoordinatorHome, action: Literal["offer", "conduct"], study: str) -> bool:
    """Starts something that can also be done later; whether it was started."""
    from safeborders_fed.errors import ConfigurationError, PeerError

    try:
        _start(home, action, study)
    except (PeerError, ConfigurationError) as error:
        output.message(f"The states are not told yet: {error.cause}. {error.fix}.")
        return False
    return True
