"""The commands of ``safeborders node`` around released models: accept them, score referrals, record reviews.

Guarantees: each command parses, calls one function and prints; everything heavy is imported inside it. Scores
go to stdout or to a file of mode 600, and nowhere else.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.node.models import Known, Unusable
    from safeborders_fed.node.reviews import Wanted

model_app = typer.Typer(help="Look after released models.", no_args_is_help=True, rich_markup_mode=None)

Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
By = Annotated[str, typer.Option("--by", help="Your name, for the audit log.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_SUMMARY = "summary"
_INSIDE = "For this node's own people: these are case data, and do not leave the node."


@model_app.command("accept")
def accept(
    file: Annotated[
        Path, typer.Argument(help="NAME-VERSION.safetensors with its release beside it, or a withdrawal.")
    ],
    home: Home,
    by: By,
    as_json: Json = False,
) -> None:
    """Verify a released model, or its withdrawal, under the pinned operator keys, and keep it."""
    from safeborders_fed.node.score_session import accept_model
    from safeborders_fed.node.settings import NodeSettings

    accepted = accept_model(NodeSettings.load(home), file, by=by)
    done = "is accepted" if accepted.action == "release" else "is withdrawn: it scores nothing any more"
    content = {
        "action": accepted.action,
        "model": str(accepted.id),
        "sha256": accepted.sha256,
        "reason": accepted.reason,
    }
    text = f"Model {accepted.id} {done}.\nSHA-256 {accepted.sha256}\nThe operators say: {accepted.reason}"
    output.result(content, text, as_json=as_json)


@model_app.command("list")
def list_models(home: Home, as_json: Json = False) -> None:
    """List the models that this node knows, each verified again."""
    from safeborders_fed.node.score_session import open_models
    from safeborders_fed.node.settings import NodeSettings

    rows = [_model_row(known) for known in open_models(NodeSettings.load(home)).known()]
    header = ("model", "kind", "label", "state", "signed by", "SHA-256")
    table = output.table(header, [[row[name] for name in _ROW] for row in rows])
    problems = [f"{row['model']} is {row['state']}: {row['problem']}" for row in rows if "problem" in row]
    text = "\n".join((table, *problems))
    output.result({"models": rows}, text if rows else "No model has been accepted.", as_json=as_json)


_ROW = ("model", "kind", "target", "state", "signed_by", "sha256_start")


def _model_row(known: Known | Unusable) -> dict[str, Any]:
    from safeborders_fed.node.models import Unusable

    if isinstance(known, Unusable):
        row = dict.fromkeys((*_ROW, "sha256"), "-")
        state = "damaged" if known.damaged else "not usable"
        return row | {"model": str(known.id), "state": state, "problem": str(known.error)}
    head = known.model.head
    return {
        "model": str(head.id),
        "kind": head.kind,
        "target": head.facts["target"],
        "state": "in use" if known.withdrawal is None else f"withdrawn: {known.withdrawal}",
        "signed_by": ", ".join(entry.by for entry in known.release.signatures),
        "sha256_start": f"{known.model.sha256[:16]}…",
        "sha256": known.model.sha256,
    }


def score(
    file: Annotated[Path, typer.Argument(help="A national file of new referrals.")],
    mapping: Annotated[Path, typer.Option("--mapping", "-m", help="How to read it (TOML).")],
    home: Home,
    by: By,
    purpose: Annotated[str, typer.Option(help="Why you score them, for the audit log.")],
    model: Annotated[
        str | None, typer.Option(help="NAME for its latest version, or NAME-VERSION. Default: the only one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new file for the list, .csv or .json (default: print it).")
    ] = None,
    quarantine: Annotated[
        Path | None, typer.Option(help="A new file for rejected rows (default: in the case store).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score new referrals with a released model: a list for people to review, which decides nothing."""
    from safeborders_fed.cases.mapping import load_mapping
    from safeborders_fed.node import review_list
    from safeborders_fed.node.list_files import new_file
    from safeborders_fed.node.score_session import score_file
    from safeborders_fed.node.settings import NodeSettings

    # The file is made first: what cannot be written is not scored.
    with nullcontext() if out is None else new_file(out) as list_file:
        review = score_file(
            NodeSettings.load(home),
            file,
            load_mapping(mapping),
            by=by,
            purpose=purpose,
            model=model,
            rejected_file=quarantine,
        )
        if list_file is not None:
            list_file.write(review)
    summary = review.summary()
    if out is not None:
        content = {"summary": summary | {"out": str(out)}, "reminder": list(review_list.REMINDER)}
        output.result(content, f"{_summary_line(summary)}\nReview list: {out}", as_json=as_json)
        return
    text = f"{review_list.as_text(review)}\n\n{_summary_line(summary)}"
    output.result(review_list.as_json(review), text, as_json=as_json)


def _summary_line(summary: dict[str, Any]) -> str:
    bands = ", ".join(f"{count:,} {band}" for band, count in summary["bands"].items())
    line = (
        f"{summary['referrals']:,} referrals from {summary['rows']:,} rows scored with {summary['model']}: "
        f"{bands}. {summary['rows_rejected']:,} rows rejected."
    )
    return f"{line}\nRejected rows: {summary['rejected_file']}" if summary["rejected_file"] else line


def review(
    target: Annotated[
        str, typer.Argument(help="A review id, a review list (CSV) with verdicts filled in, or: summary.")
    ],
    home: Home,
    verdict: Annotated[str | None, typer.Argument(help="agree, disagree or unsure, for a review id.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Your name.")] = None,
    note: Annotated[str, typer.Option(help="Why, in a few words.")] = "",
    as_json: Json = False,
) -> None:
    """Record what you think of scores, or show how often reviewers agree. Verdicts never leave the node."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node.score_session import record_verdicts
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    if target == _SUMMARY:
        _show_summary(home, as_json=as_json)
        return
    if by is None or not by.strip():
        raise UsageError("reviewer-missing", "a verdict is somebody's", "give your name with --by")
    wanted = _wanted(target, verdict, note)
    record_verdicts(settings, wanted, by=by)
    text = f"{len(wanted):,} verdict{'s' * (len(wanted) > 1)} by {by} recorded."
    output.result({"recorded": len(wanted), "by": by}, text, as_json=as_json)


def _wanted(target: str, verdict: str | None, note: str) -> list[Wanted]:
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node.list_files import read_verdicts
    from safeborders_fed.node.reviews import Wanted

    if verdict is not None:
        return [Wanted(target, verdict, note)]
    if not _is_there(Path(target)):
        raise UsageError(
            "verdict-missing",
            f"{target} is no file, and no verdict is given for it",
            "write agree, disagree or unsure after a review id, or give a filled-in review list",
        )
    return read_verdicts(Path(target))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long for one
        return False


def _show_summary(home: Path, *, as_json: bool) -> None:
    from safeborders_fed.node.score_session import summarise
    from safeborders_fed.node.settings import NodeSettings

    rows = [asdict(entry) for entry in summarise(NodeSettings.load(home))]
    header = ("model", "score", "referrals", "reviewed", "agree", "disagree", "unsure")
    text = f"{output.table(header, [list(row.values()) for row in rows])}\n{_INSIDE}"
    output.result({"bands": rows}, text if rows else "Nothing has been scored yet.", as_json=as_json)
