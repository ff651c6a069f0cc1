"""The commands of ``safeborders node audit``: the audit log verified, exported, and anchored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.audit.period import Period
    from safeborders_fed.node.auditing import Source
    from safeborders_fed.study.anchors import AnchorFile

app = typer.Typer(help="Read and verify the audit log.", no_args_is_help=True, rich_markup_mode=None)


Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Home = Annotated[Path | None, typer.Option("--home", help="The directory of the node.")]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key", help="A public key of the node (64 hexadecimal digits); give all, in the order of their use."
    ),
]
AnchorFiles = Annotated[
    list[Path] | None,
    typer.Option(help="Anchors that a peer or the coordinator keeps, as `audit anchors` wrote them."),
]
_DAYS = ["%Y-%m-%d"]


@app.command()
def export(
    home: Home = None,
    since: Annotated[int, typer.Option(min=0, help="Only entries with higher numbers.")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the last number between calls, in place of --since.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="With --out: jsonl, json, csv or html.")] = "jsonl",
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=_DAYS, help="First day, UTC (default: the beginning)."),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_DAYS, help="Last day, UTC (default: today).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New file; without it, lines go to the output.")] = None,
    log: Annotated[Path | None, typer.Option(help="A copy of a log, in place of --home.")] = None,
    key: Keys = None,
    anchors: AnchorFiles = None,
) -> None:
    """Export the log: to a file (--out) for authorities, or as lines for other systems."""
    if out is None:
        _stream(home, since, state)
        return
    from datetime import UTC

    from safeborders_fed.node import auditing
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.study.machine import user

    period = _period(first, last)
    record = auditing.recorder(NodeSettings.load(home)) if log is None and home is not None else None
    done = auditing.export(
        _source(home, log, key, anchors),
        period,
        form,
        out,
        who=user(),
        now=datetime.now(UTC),
        record=record,
    )
    output.message(f"{out}: {done.entries:,} entries of {period}. {done.result.text}")
    if record is not None and not done.logged:
        output.message("The running service enters this export in the audit log.")
    if record is None and home is not None:
        output.message(
            "This export is NOT in the audit log: only the node's own user can sign for it. "
            "Keep a record of it yourself, or ask the operator to export."
        )
    if not done.result.holds:
        output.message("THE LOG DOES NOT HOLD: run `safeborders node audit verify`.")


@app.command()
def verify(
    log: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The log, or a copy of it; or give --home.")
    ] = None,
    key: Keys = None,
    home: Home = None,
    anchors: AnchorFiles = None,
    anchor: Annotated[
        list[str] | None, typer.Option(metavar="NUMBER:HASH", help="An entry's hash that was kept elsewhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a log from its first entry to its last, with public keys only, and that nothing was cut off."""
    source = _source(home, log, key, anchors)
    verified = source.verify(dict(numbered(text) for text in anchor or []))
    text = (
        f"{source.path} holds: {verified.entries:,} entries, and {len(source.anchors):,} anchors are in it. "
        f"Keep this anchor elsewhere: {verified.entries}:{verified.head}"
    )
    if source.foreign:
        text += f"\n{source.foreign:,} given anchors were not signed by this node's keys: they do not count."
    output.result(
        {
            "entries": verified.entries,
            "head": verified.head,
            "anchors": len(source.anchors),
            "foreign_anchors": source.foreign,
        },
        text,
        as_json=as_json,
    )


@app.command()
def anchors(
    home: Annotated[Path, typer.Option("--home", help="The directory of the node.")],
    of: Annotated[str, typer.Option("--of", help="The state whose anchors are wanted.")],
    out: Annotated[Path, typer.Option(help="New file for them.")],
    as_json: Json = False,
) -> None:
    """Write what this node keeps of another's audit log, for whoever verifies that log."""
    from safeborders_fed.cases.countries import STATES
    from safeborders_fed.cli import files
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node.desks import open_studies
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.study.anchors import AnchorFile

    if of not in STATES:
        raise UsageError("unknown-country", f"{of!r} is not a state", f"give one of {' '.join(STATES)}")
    kept = open_studies(NodeSettings.load(home)).anchors(of)
    files.write_new(out, AnchorFile(anchors=kept).to_bytes())
    output.result(
        {"out": out, "anchors": len(kept)}, f"{out}: {len(kept):,} anchors of {of}", as_json=as_json
    )


def study_anchors(
    study: Annotated[str, typer.Argument(help="The study's name.")],
    home: Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")],
    out: Annotated[Path, typer.Option(help="New file for them.")],
    as_json: Json = False,
) -> None:
    """Write the anchors of the states' audit logs that this study left here, for whoever verifies a log."""
    from safeborders_fed.cli import files
    from safeborders_fed.coordinator.anchors import of_study
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.study_files import StudyFiles

    kept = of_study(StudyFiles(CoordinatorHome.load(home), study))
    files.write_new(out, kept.to_bytes())
    states = sorted({anchor.joined.node for anchor in kept.anchors})
    output.result(
        {"out": out, "anchors": len(kept.anchors), "states": states},
        f"{out}: {len(kept.anchors):,} anchors of {', '.join(states) or 'nobody'}",
        as_json=as_json,
    )


def _source(
    home: Path | None, log: Path | None, key: Sequence[str] | None, anchors: Sequence[Path] | None
) -> Source:
    """The log that a command is about."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node import auditing
    from safeborders_fed.node.settings import NodeSettings

    given = [_anchors(path) for path in anchors or []]
    if home is not None and log is None and not key:
        return auditing.of_home(NodeSettings.load(home), given)
    if log is not None and key and home is None:
        return auditing.of_file(log, key, given)
    raise UsageError(
        "usage",
        "which log is meant, and by which keys?",
        "give --home of the node, or the file of a log and its public keys with --key",
    )


def _anchors(path: Path) -> AnchorFile:
    from safeborders_fed.cli import files
    from safeborders_fed.study.anchors import AnchorFile

    return AnchorFile.from_bytes(files.read(path))


def _period(first: datetime | None, last: datetime | None) -> Period:
    from datetime import UTC, date

    from safeborders_fed.audit.period import Period

    return Period.of(
        date(2000, 1, 1) if first is None else first.date(),
        datetime.now(UTC).date() if last is None else last.date(),
    )


def _stream(home: Path | None, since: int, state: Path | None) -> None:
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node.settings import NodeSettings

    if home is None:
        raise UsageError("usage", "--home is missing", "name the node's directory; or a new file with --out")
    stream(NodeSettings.load(home).audit_path, since, state)


def stream(path: Path, since: int, state: Path | None) -> None:
    """A log's lines after a number as they stand in it, to the output; ``state`` keeps the last number."""
    import sys

    from safeborders_fed.audit.export import lines_after

    last = since if state is None else max(since, _remembered(state))
    count = 0
    for line in lines_after(path, last):
        sys.stdout.buffer.write(line + b"\n")
        count += 1
    sys.stdout.flush()
    if state is not None and count:
        _remember(state, last + count)
    output.message(f"{count:,} entries; the next call goes on with --since {last + count}")


def numbered(text: str) -> tuple[int, str]:
    """The number and hash of ``NUMBER:HASH``. Raises UsageError."""
    from safeborders_fed.errors import UsageError

    number, _, digest = text.partition(":")
    if not number.isdigit() or not digest:
        raise UsageError("usage", f"{text!r} is not NUMBER:HASH", "give it as `audit verify` printed it")
    return int(number), digest


def _remembered(state: Path) -> int:
    from safeborders_fed.errors import ConfigurationError

    try:
        return int(state.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "state-unreadable", f"{state} holds no number", "remove it to begin with the first entry"
        ) from error


def _remember(state: Path, number: int) -> None:
    from safeborders_fed.errors import ConfigurationError
    from safeborders_fed.study import durable

    try:
        durable.replace(state, b"%d\n" % number)
    except OSError as error:
        raise ConfigurationError(
            "state-unwritable",
            f"{state} cannot be written: {error.strerror}",
            "mend its directory's rights; the same entries come again next time",
        ) from error
