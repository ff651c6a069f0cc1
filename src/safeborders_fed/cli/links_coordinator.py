"""The commands of ``safeborders coordinator links``: run an exchange, see where it stands, forget an epoch.

Guarantees: each command parses, calls one function and prints. What runs an exchange is the coordinator's
service. An interruption ends the watching and never the exchange.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.links.exchange_files import LinkFiles

app = typer.Typer(help="Links between the case files of states.", no_args_is_help=True, rich_markup_mode=None)

Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Epoch = Annotated[str | None, typer.Option(help="The calendar year (default: this one).")]
By = Annotated[str | None, typer.Option("--by", help="Who asks for it (default: your user name).")]
_INTERRUPTED = 130
_MEANS = {
    "policy": "policy: links are switched off there, or its [links] does not permit this. "
    "New tokens wait for all states.",
    "expired": "expired: it is not the year of these keys there, or they are destroyed",
}


@app.command()
def run(
    home: Home,
    epoch: Epoch = None,
    wait: Annotated[
        float, typer.Option(min=0.0, max=336.0, help="Hours to wait for states that are offline.")
    ] = 0.0,
    letters: Annotated[
        bool, typer.Option("--letters", help="Carry only letters of approved hits: no new tokens or tags.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Run an exchange, or go on with one that was cut off, and follow it."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.links import conducting
    from safeborders_fed.links.exchange_files import Wish
    from safeborders_fed.study.machine import user
    from safeborders_fed.transport import control

    coordinator = CoordinatorHome.load(home)
    files = conducting.files_to_run(coordinator, epoch, datetime.now(UTC))
    with files.lock():
        files.ask_for(Wish(by=by or user(), wait_seconds=wait * 3600, letters_only=letters))
        after = len(files.progress())
    control.start(coordinator, "links", files.epoch)
    if detach:
        text = f"The exchange of {files.epoch} is running: safeborders coordinator links status"
        output.result({"epoch": files.epoch, "started": True}, text, as_json=as_json)
        return
    _watch(files, after, as_json=as_json)


@app.command()
def status(home: Home, as_json: Json = False) -> None:
    """Show where the exchanges stand: the last one, and for each pair how many tags there are."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.links.conducting import standing

    rows = standing(CoordinatorHome.load(home))
    text = "\n\n".join(map(_standing, rows)) if rows else "There was no exchange of links yet."
    output.result({"epochs": rows}, text, as_json=as_json)


@app.command()
def forget(
    epoch: Annotated[str, typer.Argument(help="The calendar year.")],
    home: Home,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Remove all tags and letters of an epoch, when its year and its hits are over."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.links import conducting
    from safeborders_fed.study.machine import user

    conducting.forget(CoordinatorHome.load(home), epoch, by or user())
    output.result(
        {"epoch": epoch, "forgotten": True}, f"Tags and letters of {epoch} are gone.", as_json=as_json
    )


def _watch(files: LinkFiles, after: int, *, as_json: bool) -> None:
    import time

    from safeborders_fed.errors import rebuilt
    from safeborders_fed.links.following import follow

    last: dict[str, Any] = {}
    try:
        for row in follow(files, time.sleep, after=after):
            last = row
            if row["kind"] not in {"summary", "error"}:
                _show(row, as_json=as_json)
    except KeyboardInterrupt:
        output.message("The exchange goes on. See: safeborders coordinator links status")
        raise typer.Exit(_INTERRUPTED) from None
    if last["kind"] == "error":
        raise rebuilt(last["exit_code"], last["code"], last["cause"], last["fix"])
    output.result({"summary": last}, _summary(last), as_json=as_json)


def _show(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.result({"status": row}, "", as_json=True)
        return
    words = {
        "started": lambda: f"exchange {row['exchange']}",
        "keys": lambda: f"keys of {row['epoch']}: {row['step']}",
        "waiting": lambda: f"waiting for {', '.join(row['offline'])}",
        "there": lambda: (
            f"{len(row['there'])} states are there"
            + (f", offline: {', '.join(row['offline'])}" if row["offline"] else "")
        ),
        "tokens": lambda: f"{sum(row['points'].values()):,} identifiers have tokens",
    }
    text = words.get(row["kind"], lambda: f"{row['kind']}: {row['count']:,}")()
    output.message(f"{row['time'][11:19]}Z {text}")


def _standing(row: dict[str, Any]) -> str:
    now = "running" if row["running"] else "ended" if row["done"] else "cut off: run it again"
    lines = [f"Epoch {row['epoch']}, exchange {row['exchange'] or 'none'}: {now}"]
    lines += [f"States: {' '.join(row['nodes']) or 'no keys yet'}"]
    pairs = [
        [name, count["first"], count["second"], count["verified"]] for name, count in row["pairs"].items()
    ]
    if pairs:
        header = ("pair", "tags of one", "of the other", "equal and verified")
        lines += [output.table(header, pairs), "Tags and equal ones count padding and canaries too."]
    lines += [f"Letters that wait for {node}: {count}" for node, count in row["letters_waiting"].items()]
    return "\n".join([*lines, *([_summary(row["summary"])] if row["summary"] else [])])


def _summary(content: dict[str, Any]) -> str:
    equal = sum(content["verified"].values())
    text = f"Exchange {content['exchange']}: {sum(content['points'].values()):,} new tokens"
    text += f", {content['tags']:,} tags, {equal:,} equal ones verified by both states (canaries included)"
    lines = [f"{text}, letters carried: {content['letters']}."]
    if content["offline"]:
        lines.append(f"Offline: {', '.join(content['offline'])}. New tokens wait for all states.")
    lines += [
        f"{each['by']} did not help {each['requester']}: {each['reason']}" for each in content["refused"]
    ]
    lines += [f"{node}: {what}" for node, what in content["liars"].items()]
    return "\n".join([*lines, *_troubles(content["troubles"])])


def _troubles(troubles: list[dict[str, Any]]) -> list[str]:
    """What nodes did instead of their steps, each once, with all the steps in which they did."""
    steps: dict[tuple[str, str, str], dict[str, None]] = {}
    for each in troubles:
        steps.setdefault((each["node"], each["code"], each["cause"]), {})[each["step"]] = None
    lines = []
    for (node, code, cause), found in steps.items():
        said = _MEANS.get(code, f"{code}: {cause}")
        lines.append(output.one_line(f"{node} (steps {', '.join(found)}): {said}"))
    return lines
