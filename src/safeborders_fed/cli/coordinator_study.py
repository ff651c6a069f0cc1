"""The commands of ``safeborders coordinator study``: from a draft to a release.

Guarantees: each command parses, calls one function and prints. What runs a study is the coordinator's
service; these commands ask it to, and read the study's files.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safeborders_fed.cli import audit_log, output
from safeborders_fed.cli.study_text import terms

if TYPE_CHECKING:
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.study_files import StudyFiles
    from safeborders_fed.study.manifest import Manifest

app = typer.Typer(help="Draft, launch and watch studies.", no_args_is_help=True, rich_markup_mode=None)
app.command("anchors")(audit_log.study_anchors)

Study = Annotated[str, typer.Argument(help="The study's name: lower-case letters, digits, hyphens.")]
Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]
_MOST_VICTIMS = 2_000_000


@app.command()
def draft(
    study: Study,
    home: Home,
    analysis: Annotated[str, typer.Option(help="logistic, neural, trends or typology.")],
    epsilon: Annotated[float, typer.Option(min=0.0, help="What all of it may cost one victim, at delta.")],
    purpose: Annotated[str, typer.Option(help="What it is for; every state's people read it.")],
    legal_basis: Annotated[str, typer.Option(help="The law that permits it.")],
    expires: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Its last day.")],
    parameters: Annotated[Path | None, typer.Option(help="Parameters of the analysis (TOML).")] = None,
    category: Annotated[
        str | None,
        typer.Option(help="What the purpose comes under (default: what the analysis is made for)."),
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who drafts it (default: your user name).")] = None,
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
    as_json: Json = False,
) -> None:
    """Draft a study and show what it costs. Nobody is asked anything yet."""
    from safeborders_fed.coordinator import drafting
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.members import current_roster
    from safeborders_fed.privacy.accounting import rho_for
    from safeborders_fed.study.draft import Wish

    coordinator = CoordinatorHome.load(home)
    roster = current_roster(coordinator)
    wish = Wish(
        id=study,
        purpose=purpose,
        legal_basis=legal_basis,
        analysis=analysis,
        parameters=_parameters(parameters),
        participants=tuple(roster.roster.keys()),
        roster_hash=roster.roster.hash(),
        rho=rho_for(epsilon, delta),
        delta=delta,
        expires=expires.date(),
        max_victims=max_victims,
        trust=_trust(trust),
        retries=retries,
        tick_seconds=tick,
        tolerated_colluders=colluders,
        minimum_participants=minimum,
        purpose_category=_category(category),
    )
    manifest = drafting.draft(coordinator, wish, roster, by=by or _user())
    errors = drafting.expected_errors(manifest)
    content = {"manifest": manifest.model_dump(mode="json"), "hash": manifest.hash(), "expected": errors}
    hint = f"Next: safeborders coordinator study publish {study} --by NAME --key-file FILE --hash HASH"
    output.result(content, f"{_with_errors(manifest, errors)}\n{hint}", as_json=as_json)


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
    reason: Annotated[str, typer.Option(help="Why; it is kept with the study.")],
    by: Annotated[
        str | None, typer.Option("--by", help="Who withdraws it (default: your user name).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Withdraw a study. A run ends after its round; states are told and release what they reserved."""
    from safeborders_fed.coordinator import drafting
    from safeborders_fed.coordinator.home import CoordinatorHome

    coordinator = CoordinatorHome.load(home)
    done = drafting.withdraw(coordinator, study, by=by or _user(), why=reason)
    if done and _require_state(coordinator, study, None).is_published():
        _try_to_start(coordinator, "conduct", study)
    text = f"Study {study} is withdrawn." if done else f"Study {study} will be withdrawn after its round."
    output.result({"study": study, "withdrawn": done}, text, as_json=as_json)


@app.command("list")
def list_studies(home: Home, as_json: Json = False) -> None:
    """List all studies and how far each is."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.study_files import studies

    rows = []
    for files in studies(CoordinatorHome.load(home)):
        state = files.state()
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
def show(study: Study, home: Home, as_json: Json = False) -> None:
    """Show a study: terms, costs, where each state stands, and all changes."""
    from safeborders_fed.coordinator.drafting import expected_errors
    from safeborders_fed.coordinator.home import CoordinatorHome

    files = _require_state(CoordinatorHome.load(home), study, None)
    state, manifest = files.state(), files.manifest()
    errors = expected_errors(manifest)
    content = {
        "state": state.model_dump(mode="json") | {"state": state.state},
        "manifest": manifest.model_dump(mode="json"),
        "hash": manifest.hash(),
        "expected": errors,
    }
    lines = [f"State:       {state.state}", _with_errors(manifest, errors)]
    lines += [
        f"  {node}: {word.status}{f' ({word.reason})' if word.reason else ''}, {word.at[:19]}"
        for node, word in state.nodes.items()
    ]
    lines += [f"  {node}: {word.advice}" for node, word in state.nodes.items() if word.advice]
    lines += [f"{change.at[:19]} {change.state} by {change.by}: {change.why}" for change in state.changes]
    if state.error is not None:
        lines.append(f"Last error [{state.error.code}]: {state.error.cause}\nFix: {state.error.fix}")
    output.result(content, "\n".join(lines), as_json=as_json)


def _with_errors(manifest: Manifest, errors: dict[str, float]) -> str:
    lines = [terms(manifest), *(f"  {name}: {value:,.3g}" for name, value in errors.items())]
    return "\n".join(lines)


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


def _parameters(file: Path | None) -> dict[str, Any]:
    import tomllib

    from safeborders_fed.errors import ConfigurationError

    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "parameters-unreadable", f"{file} cannot be read: {error.strerror}", "check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            "parameters-invalid", f"{file} is not TOML: {error}", "mend the line named"
        ) from error


def _trust(word: str) -> Literal["masked", "local"]:
    from safeborders_fed.errors import UsageError

    match word:
        case "masked" | "local":
            return word
    raise UsageError("usage", f"{word!r} is no trust mode", "give masked or local")


def _category(word: str | None) -> Any:
    from safeborders_fed.analyses.base import PURPOSE_CATEGORIES
    from safeborders_fed.errors import UsageError

    if word is None or word in PURPOSE_CATEGORIES:
        return word
    raise UsageError(
        "usage", f"{word!r} is no category of purpose", f"give one of {', '.join(PURPOSE_CATEGORIES)}"
    )


def _user() -> str:
    import getpass

    return getpass.getuser()
