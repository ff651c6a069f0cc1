"""The commands about hits in ``safeborders node links``: see them, answer them, say what came of them.

Guarantees: each command parses, calls one function and prints. Who looks, leaves a note for the audit log
first. An approval names the hit in full, typed or passed; nothing approves by itself, and nothing is sent
from here: what people sign is taken up with the next exchange, or at once where the operator runs this.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output
from safeborders_fed.cli.passphrase import PassphraseFile, passphrase

if TYPE_CHECKING:
    from safeborders_fed.errors import SafeBordersError
    from safeborders_fed.node.hit_papers import Act, HitPapers

Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Name = Annotated[str, typer.Option("--name", help="Your name, as enrolled at this node.")]
Key = Annotated[Path, typer.Option("--key", help="Your approver key file.")]
Hit = Annotated[str, typer.Argument(help="The hit: eight or more of its digits.")]
Whole = Annotated[
    str | None, typer.Option("--hit-hash", help="All 64 digits of the hit; asked for at a terminal.")
]
Days = Annotated[int, typer.Option(min=1, max=366, help="How long your signature counts.")]
_COLUMNS = ("hit", "partner", "state", "type", "strength", "cases", "due", "overdue", "alarm")


def register(app: typer.Typer) -> None:
    """Adds the commands to ``safeborders node links``."""
    app.command("hits")(hits)
    app.command("hit")(hit)
    app.command("approve-hit")(approve_hit)
    app.command("decline")(decline)
    app.command("outcome")(outcome)
    app.command("draft")(draft)


def hits(home: Home, as_json: Json = False) -> None:
    """List the hits with other states, those that are overdue first."""
    from safeborders_fed.links.hits import REMINDER, in_order
    from safeborders_fed.node.hit_papers import ALL

    papers = _papers(home)
    views = in_order(papers.views())
    if views:
        _looked(papers, ALL)
        _take_up(home)
    rows = [[_cell(shown, name) for name in _COLUMNS] for shown in views]
    text = "\n".join([output.table(_COLUMNS, rows), "", *REMINDER])
    output.result({"hits": views}, text if views else "There is no hit.", as_json=as_json)


def hit(
    hit_name: Hit,
    home: Home,
    national: Annotated[
        bool, typer.Option("--national", help="Name the national case files, too; the operator's only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one hit: what is known, what it means, who has answered, and what comes next."""
    from safeborders_fed.cli.links_hit_text import text_of

    papers = _papers(home)
    shown = papers.view(hit_name)
    _looked(papers, shown["hit"])
    content = dict(shown) | {"national_cases": _national(home, shown) if national else None}
    _take_up(home)
    output.result(content, text_of(content), as_json=as_json)


def approve_hit(
    hit_name: Hit,
    home: Home,
    name: Name,
    key: Key,
    hit_hash: Whole = None,
    urgency: Annotated[str, typer.Option(help="routine, urgent or immediate.")] = "routine",
    despite_alarm: Annotated[
        bool,
        typer.Option("--despite-alarm", help="You have read of the alarm on it, and approve all the same."),
    ] = False,
    passphrase_file: PassphraseFile = None,
    valid_days: Days = 90,
    as_json: Json = False,
) -> None:
    """Approve that this state's case pseudonyms and contact point go to the other state, for one hit."""
    from safeborders_fed.errors import RefusedError, UsageError
    from safeborders_fed.links.hit_records import URGENCIES

    shown = _papers(home).view(hit_name)
    if urgency not in URGENCIES:
        raise UsageError("unknown-urgency", f"{urgency!r} is none", f"give one of {', '.join(URGENCIES)}")
    if shown["alarm"] and not despite_alarm:
        raise RefusedError(
            "hit-alarm",
            f"hit {shown['hit'][:12]} came with far more hits than usual: somebody may be fishing",
            "look at the others in `safeborders node links hits`; to approve it, add --despite-alarm",
        )
    _require_contact(home)
    _typed(shown, hit_hash)
    after = _sign(home, shown, "approve", urgency, name, key, passphrase_file, valid_days, seen=despite_alarm)
    text = (
        f"{name} has approved hit {shown['hit'][:12]} with {shown['partner']}. Records are exchanged only if "
        f"{shown['approvals_needed']} people here and people of {shown['partner']} approve."
    )
    output.result(after, f"{text}\n{_said(after)}", as_json=as_json)


def decline(
    hit_name: Hit,
    home: Home,
    name: Name,
    key: Key,
    reason: Annotated[
        str,
        typer.Option(
            help="no-legal-basis, case-closed, ongoing-operation, victim-safety, coincidence or other. "
            "The other state is not told which."
        ),
    ],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Decline a hit. The other state learns that, and not why."""
    from safeborders_fed.links.deciding import REASONS, unknown_reason

    if reason not in REASONS:
        raise unknown_reason(reason)
    shown = _papers(home).view(hit_name)
    after = _sign(home, shown, "decline", reason, name, key, passphrase_file, 90)
    text = f"{name} has declined hit {shown['hit'][:12]} with {shown['partner']} ({REASONS[reason]})."
    output.result(after, f"{text}\n{_said(after)}", as_json=as_json)


def outcome(
    hit_name: Hit,
    home: Home,
    name: Name,
    key: Key,
    what: Annotated[str, typer.Option(help="confirmed, refuted or followed-up.")],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say what came of a hit; the other state is told. A refuted one goes on this node's stop-list."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.links.outcomes import OUTCOMES

    if what not in OUTCOMES:
        raise UsageError("unknown-outcome", f"{what!r} is none", f"give one of {', '.join(OUTCOMES)}")
    shown = _papers(home).view(hit_name)
    after = _sign(home, shown, "outcome", what, name, key, passphrase_file, 90)
    text = f"{name} says of hit {shown['hit'][:12]} with {shown['partner']}: {what}."
    output.result(after, f"{text}\n{_said(after)}", as_json=as_json)


def draft(
    hit_name: Hit,
    home: Home,
    out: Annotated[Path, typer.Option(help="A new file for it; only you may read it.")],
    kind: Annotated[str, typer.Option(help="siena or eio.")] = "siena",
    as_json: Json = False,
) -> None:
    """Write a draft for the secure channel, to be checked, completed and sent by a person. Sends nothing."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.links import drafts
    from safeborders_fed.node.settings import NodeSettings

    if kind not in ("siena", "eio"):
        raise UsageError("unknown-draft", f"{kind!r} is none", "give siena or eio")
    papers = _papers(home)
    shown = papers.view(hit_name)
    _looked(papers, shown["hit"])
    chosen: drafts.Kind = "siena" if kind == "siena" else "eio"
    text = drafts.text(chosen, NodeSettings.load(home).country, shown, _national(home, shown))
    drafts.write(out, text)
    _take_up(home)
    output.result(
        {"hit": shown["hit"], "draft": out, "kind": kind, "check": list(drafts.TO_CHECK)},
        f"The draft is in {out}. It was not sent. Check in it, before you send it:\n"
        + "\n".join(f"  - {each}" for each in drafts.TO_CHECK),
        as_json=as_json,
    )


def _papers(home: Path) -> HitPapers:
    """The hits, written anew first where the operator runs this."""
    from safeborders_fed.node.hit_papers import HitPapers
    from safeborders_fed.node.settings import NodeSettings

    NodeSettings.load(home)  # says so, if it is no node's directory
    _take_up(home)
    return HitPapers(home)


def _require_contact(home: Path) -> None:
    """Requires a contact point, without which no record could be made; only the operator can read it."""
    from safeborders_fed.links.hit_records import Terms
    from safeborders_fed.node.layout import is_operator

    if is_operator(home):
        Terms.load(home)


def _take_up(home: Path) -> dict[str, SafeBordersError]:
    """Takes up what people have left, where the operator runs this; else the service does.

    Gives why papers did not count, by the names of their files.
    """
    from safeborders_fed.links.deciding import take_papers
    from safeborders_fed.links.hits import publish
    from safeborders_fed.links.office import open_office
    from safeborders_fed.node.layout import is_operator
    from safeborders_fed.node.settings import NodeSettings

    if not is_operator(home):
        return {}
    office = open_office(NodeSettings.load(home))
    publish(office)  # first: it makes the box
    refused = take_papers(office)
    office.hits.settle(office.audit_log)
    publish(office)
    return refused


def _looked(papers: HitPapers, hit_name: str) -> None:
    from safeborders_fed.node.hit_papers import HitPaper

    papers.leave(HitPaper(hit=hit_name, act="view"))


def _national(home: Path, shown: dict[str, Any]) -> dict[str, str]:
    """National case ids, for who may open the store; for others none."""
    from safeborders_fed.links.hits import national_cases
    from safeborders_fed.node.layout import is_operator
    from safeborders_fed.node.settings import NodeSettings

    if not is_operator(home):
        return {}
    return national_cases(NodeSettings.load(home).open_store(), shown["cases"])


def _sign(
    home: Path,
    shown: dict[str, Any],
    act: Act,
    word: str,
    name: str,
    key_file: Path,
    passphrase_file: Path | None,
    valid_days: int,
    *,
    seen: bool = False,
) -> dict[str, Any]:
    """Signs and leaves a paper, and gives what is known of the hit then."""
    from datetime import timedelta

    from safeborders_fed.links.approving import require_prosecutor
    from safeborders_fed.masking.signing import public_hex
    from safeborders_fed.node import journal
    from safeborders_fed.node.approvals import approve, load_approver_key
    from safeborders_fed.node.hit_papers import HitPaper, HitPapers, subject_hash
    from safeborders_fed.node.settings import NodeSettings

    key = load_approver_key(key_file, passphrase(passphrase_file))
    require_prosecutor(NodeSettings.load(home).approvers(), name, public_hex(key))
    at = journal.now()
    approval = approve(
        key,
        name=name,
        subject="link-hit",
        subject_hash=subject_hash(shown["hit"], act, word),
        signed_at=at,
        expires=at + timedelta(days=valid_days),
    )
    papers = HitPapers(home)
    paper = HitPaper(hit=shown["hit"], act=act, word=word, seen_alarm=seen, approval=approval)
    left = papers.leave(paper)
    refused = _take_up(home).get(left.name)
    if refused is not None:
        raise refused
    return papers.view(shown["hit"])


def _typed(shown: dict[str, Any], given: str | None) -> None:
    """Requires all digits of the hit, passed or typed at a terminal."""
    import sys

    from safeborders_fed.errors import RefusedError, UsageError

    if given is None and not sys.stdin.isatty():
        raise UsageError("no-terminal", "there is no terminal to type the hit at", "give it with --hit-hash")
    if given is None:
        given = str(input("All 64 digits of the hit that you have read about: ")).strip()
    if given.lower() != shown["hit"]:
        raise RefusedError(
            "another-hash",
            "these digits are not those of the hit",
            f"read `safeborders node links hit {shown['hit'][:12]}`, and give the digits that it shows",
        )


def _said(after: dict[str, Any]) -> str:
    people = ", ".join(after["approved_by"]) or "nobody"
    return f"Approved here by: {people}. The hit is {after['state']}: {after['standing']}."


def _cell(shown: dict[str, Any], name: str) -> object:
    value = shown[name]
    if name == "hit":
        return value[:12]
    if name == "cases":
        return len(value)
    if name == "due":
        return (value or "")[:10]
    return {True: "yes", False: ""}.get(value, value) if isinstance(value, bool) else value
