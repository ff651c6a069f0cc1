"""The command ``safeborders demo``: a whole federation on this machine, from files to a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.simulation.demo import Progress

_STEPS: Final = {
    "files": "Preparing national case files",
    "import": "Importing at each node",
    "links": "Finding links between states",
    "train": "Training the detection model",
    "typologies": "Finding typologies",
    "tables": "Counting for the trend tables",
}
_SECONDS_BETWEEN_LINES: Final = 2.0
_FILES: Final = "Case data of your own"


def demo(
    out: Annotated[Path, typer.Option(help="New directory for files, nodes, summary and report.")] = Path(
        "demo"
    ),
    cases: Annotated[
        Path | None, typer.Option(help="A case file instead of the synthetic ones.", rich_help_panel=_FILES)
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="The mapping that reads it.", rich_help_panel=_FILES)
    ] = None,
    node_column: Annotated[
        str | None,
        typer.Option(help="Its column whose eight largest values become nodes.", rich_help_panel=_FILES),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Label: actual_victim, minor_exploited_by_group or form:CODE. Default: by the mapping."
        ),
    ] = None,
    epsilon: Annotated[
        float, typer.Option(min=0.01, max=100.0, help="Privacy budget of all studies together.")
    ] = 3.0,
    rounds: Annotated[
        int, typer.Option(min=2, max=1000, help="Gradient rounds of the detection study.")
    ] = 22,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic files.")] = 100,
    scale: Annotated[
        float,
        typer.Option(min=0.05, max=10.0, help="Size of the synthetic files, 1 for about 20,000 records."),
    ] = 1.0,
    trust: Annotated[
        str,
        typer.Option(help="masked: only sums are seen and noise is shared. local: each node adds all of it."),
    ] = "masked",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines for machines.")] = False,
) -> None:
    """Run a whole federation of eight nodes on this machine and write its report."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.simulation import demo as simulation
    from safeborders_fed.simulation import demo_output

    if trust not in {"masked", "local"}:
        raise UsageError("unknown-trust", f"there is no trust mode {trust!r}", "use masked or local")
    options = simulation.Options(
        out=out,
        seed=seed,
        scale=scale,
        epsilon=epsilon,
        rounds=rounds,
        trust="local" if trust == "local" else "masked",
        target=target,
        cases=cases,
        mapping=mapping,
        node_column=node_column,
    )
    with _progress(as_json=as_json) as progress:
        result = simulation.run(options, progress)
        summary = demo_output.write(result)
    output.result({"summary": summary}, _text(summary, out), as_json=as_json)


def _text(summary: dict[str, Any], out: Path) -> str:
    area, study = summary["auc"], summary["study"]
    rows = [
        [
            node["name"],
            node["victims"],
            node["quarantined"],
            _figure(area["alone"][node["name"]]),
            _figure(area["own_records"][node["name"]]["alone"]),
            _figure(area["own_records"][node["name"]]["federated"]),
        ]
        for node in summary["nodes"]
    ]
    header = ["node", "victims", "quarantined", "alone", "alone (own records)", "federated (own records)"]
    reasons = "".join(f"\n{node}: no model alone, {why}" for node, why in area["alone_reasons"].items())
    return (
        f"{output.table(header, rows)}{reasons}\n\n"
        f"Label {summary['target']}, area under the ROC curve on {area['held_out']:,} held-out persons:\n"
        f"  federated {_figure(area['federated'])} · pooled without privacy "
        f"{_figure(area['pooled_without_privacy'])} · best possible {_figure(area['bayes_optimum'])}\n"
        f"Privacy spent: epsilon {study['epsilon']:.2f} of {study['budget_epsilon']:g} at delta "
        f"{study['delta']:g} (rho {study['rho']:.4f}), trust mode {study['trust']}\n"
        f"{_types(summary['typologies'])}\n"
        f"{_links(summary['links'])}"
        f"Took {summary['seconds']['total']:.1f} s, at most {summary['peak_memory_mib']:.0f} MiB\n"
        f"Report: {out / 'report.html'} · figures: {out / 'summary.json'}\n"
        f"Model card: {out / 'model-card.html'}\n"
        f"Model and tables, each released by two operators: {out / 'coordinator' / 'released'}"
    )


def _types(found: dict[str, Any]) -> str:
    sizes = ", ".join(f"{name} about {victims:,.0f}" for name, victims in found["victims"].items())
    rand = found["adjusted_rand"]
    exact = found["adjusted_rand_without_privacy"]
    beside = (
        "" if rand is None else f"\n  adjusted Rand index {_figure(rand)} · without privacy {_figure(exact)}"
    )
    return f"Typologies: {sizes or 'none beyond noise'}{beside}"


def _links(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    beside = found["recovered"]
    rows = [
        [
            kind,
            _of(beside["right"].get(kind)),
            _of(beside["misspelt"].get(kind)),
            beside["false"].get(kind, 0),
        ]
        for kind in sorted({*beside["right"], *beside["misspelt"], *beside["false"]})
    ]
    return (
        f"Links: {found['hits']:,} hits among {found['compared']:,} of {found['on_file']:,} identifiers; of "
        f"{beside['equal']:,} equal ones {beside['missed']:,} missed, {beside['invented']:,} invented\n"
        f"{output.table(['planted', 'found', 'misspelt found', 'false'], rows)}\n"
        f"  networks: {beside['whole']:,} of {beside['findable']:,} that can be found are whole, "
        f"{beside['networks']:,} planted, {beside['joined']:,} run together\n"
    )


def _of(recall: dict[str, int] | None) -> str:
    return "-" if recall is None else f"{recall['found']:,} of {recall['planted']:,}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Progress]:
    if as_json:
        yield _JsonLines()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bars(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True)) as bars:
            yield _Terminal(bars)
    else:
        yield _PlainLines()


class _Terminal:
    """A bar for each step."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task: Any = None

    def begin(self, step: str, total: int) -> None:
        self._task = self._bars.add_task(_STEPS[step], total=total, text="")

    def advance(self, text: str) -> None:
        self._bars.update(self._task, advance=1, text=output.printable(text).replace("[", "\\["))


class _PlainLines:
    """A line when a step begins, and one now and then."""

    def __init__(self) -> None:
        self._step = ""
        self._shown = 0.0

    def begin(self, step: str, total: int) -> None:
        del total
        self._step = _STEPS[step]
        self._say(self._step)

    def advance(self, text: str) -> None:
        if time.monotonic() - self._shown >= _SECONDS_BETWEEN_LINES:
            self._say(f"{self._step}: {text}")

    def _say(self, text: str) -> None:
        self._shown = time.monotonic()
        output.message(f"{datetime.now(UTC):%H:%M:%S}Z {text}")


class _JsonLines:
    """A status object for every part."""

    def __init__(self) -> None:
        self._step = ""
        self._total = self._done = 0

    def begin(self, step: str, total: int) -> None:
        self._step, self._total, self._done = step, total, 0
        self._emit("")

    def advance(self, text: str) -> None:
        self._done += 1
        self._emit(text)

    def _emit(self, text: str) -> None:
        status = {"step": self._step, "done": self._done, "total": self._total, "text": text}
        output.result({"status": status}, "", as_json=True)
