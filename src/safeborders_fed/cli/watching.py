"""Showing a run of a study: a live line on a terminal, a plain line a round elsewhere, JSON lines.

Guarantees: with ``--json`` each row is one object with ``schema_version`` and ``status``, and the last one
holds ``summary`` or ``error`` instead, exactly once. An interruption ends the watching and never the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer

from safeborders_fed.cli import output
from safeborders_fed.errors import rebuilt

if TYPE_CHECKING:
    from safeborders_fed.coordinator.study_files import StudyFiles

_INTERRUPTED: Final = 130
_SILENCE: Final = 5.0
"""Seconds without news after which a live line says so."""


def watch(files: StudyFiles, *, after: int | None, as_json: bool) -> None:
    """Shows a run up to its end.

    Raises:
        SafeBordersError: What ended the study or the run, with the exit code of who must act.
        typer.Exit: With 130, after an interruption.
    """
    from safeborders_fed.coordinator.following import follow

    last: dict[str, Any] = {}
    try:
        with _shown(as_json=as_json) as show:
            for row in follow(files, time.sleep, after=after):
                last = row
                show(row)
    except KeyboardInterrupt:
        output.message(f"The run goes on. Look again with: safeborders coordinator study watch {files.study}")
        raise typer.Exit(_INTERRUPTED) from None
    if last["kind"] == "error":
        raise rebuilt(last["exit_code"], last["code"], last["cause"], last["fix"])
    output.result({"summary": last}, _summary(last), as_json=as_json)


@contextmanager
def _shown(*, as_json: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    if as_json:
        yield _json
    elif sys.stderr.isatty():
        with _live() as show:
            yield show
    else:
        yield _plain


def _json(row: dict[str, Any]) -> None:
    if row["kind"] not in {"summary", "error"}:
        output.result({"status": row}, "", as_json=True)
        sys.stdout.flush()


def _plain(row: dict[str, Any]) -> None:
    text = line(row)
    if text is not None:
        output.message(f"{row['time'][11:19]}Z {text}")


@contextmanager
def _live() -> Iterator[Callable[[dict[str, Any]], None]]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    news = News(time.monotonic)
    console = Console(stderr=True)
    with Live(
        get_renderable=lambda: Text(news.text()), console=console, refresh_per_second=2, transient=True
    ):
        yield news.take


class News:
    """The last line of a run, and for how long nothing has followed: a round may wait for a silent state."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._line = "waiting for the run to begin"

    def take(self, row: dict[str, Any]) -> None:
        """Takes a row of the run."""
        text = line(row)
        if text is not None:
            self._line, self._at = text, self._clock()

    def text(self) -> str:
        """What to show now."""
        silent = self._clock() - self._at
        return output.printable(self._line) + (
            f" · silent for {_clock(silent)}" if silent >= _SILENCE else ""
        )


def line(row: dict[str, Any]) -> str | None:
    """What a row says in one line; None if it is not for people."""
    match row["kind"]:
        case "started":
            return f"study {row['study']}: {row['rounds']} rounds, {len(row['nodes'])} states"
        case "offered":
            approved = len(row["nodes"]) - len(row["missing"])
            return f"approved by {approved} of {len(row['nodes'])} states{_waiting(row)}"
        case "round":
            left = row["rounds"] - row["round"]
            present = f"{len(row['participants'])} of {len(row['nodes'])} states{_waiting(row)}"
            return (
                f"round {row['round']}/{row['rounds']} · {present} · {_clock(row['seconds'])} elapsed · "
                f"about {_clock(left * row['round_seconds'])} left · "
                f"epsilon {row['epsilon_spent']:.2g} of {row['epsilon_total']:.2g}"
            )
        case "delivered":
            missing = ", ".join(f"{node}: {why}" for node, why in sorted(row["undelivered"].items()))
            told = f"record at {len(row['delivered'])} of {len(row['nodes'])} states"
            return f"{told} (missing: {missing})" if missing else told
    return None


def _waiting(row: dict[str, Any]) -> str:
    missing = ", ".join(f"{node}: {why}" for node, why in sorted(row["missing"].items()))
    return f" (missing: {missing})" if missing else ""


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60:02}:{whole % 60:02}"


def _summary(row: dict[str, Any]) -> str:
    lines = [
        f"Study {row['study']} is finished: {row['rounds']} rounds in {row['attempts']} attempts.",
        f"Spent: epsilon {row['epsilon_spent']:.3g} of {row['epsilon_total']:.3g} at delta {row['delta']:g}.",
        f"Release: {row['release']}",
    ]
    if row["model"] is not None:
        lines.append(
            f"Model: {row['model']}, a candidate. Next: safeborders coordinator models show {row['model']}"
        )
    return "\n".join(lines)
