"""The commands of ``safeborders node ledger``: the privacy budget in plain words, and settling a dispute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output
from safeborders_fed.cli.passphrase import PassphraseFile, passphrase

if TYPE_CHECKING:
    from safeborders_fed.node.budget_statement import StatedBudget
    from safeborders_fed.node.ledger import Ledger
    from safeborders_fed.node.settings import NodeSettings

app = typer.Typer(
    help="Show and look after the privacy budget.", invoke_without_command=True, rich_markup_mode=None
)

Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
LostRho = Annotated[
    float, typer.Option(min=0.0, help="What the lost entries had spent at most: charged by the settlement.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.callback()
def show(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option("--home", help="The directory of the node.")] = None,
    as_json: Json = False,
) -> None:
    """Show what was spent and what is left, per study, this year and for the lifetime."""
    if context.invoked_subcommand is not None:
        return
    from safeborders_fed.errors import UsageError

    if home is None:
        raise UsageError("usage", "--home is missing", "name the directory of the node with --home")
    settings, ledger = _open(home)
    content = _content(settings, ledger)
    output.result(content, _text(content), as_json=as_json)


@app.command()
def sign(
    home: Home,
    name: Annotated[str, typer.Option(help="Your name, as enrolled at this node.")],
    key: Annotated[Path, typer.Option(help="Your approver key file.")],
    out: Annotated[Path, typer.Option(help="New file for the signed approval.")],
    lost_rho: LostRho,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Approve settling the ledger's open disputes at this charge, as one of two people who say the same."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.node.reconciling import sign_settlement

    if out.exists():
        raise UsageError("out-exists", f"{out} exists already", "name a new file with --out")
    _, ledger = _open(home)
    out.write_bytes(sign_settlement(ledger, name, key, passphrase(passphrase_file), lost_rho=lost_rho))
    output.result(
        {"approval": str(out), "lost_rho": lost_rho},
        f"Signed by {name}, for a charge of rho {lost_rho:g}: {out}",
        as_json=as_json,
    )


@app.command()
def reconcile(
    home: Home,
    approval: Annotated[
        list[Path], typer.Option(help="A signed approval of the disputes' hash; give one for each person.")
    ],
    lost_rho: LostRho,
    as_json: Json = False,
) -> None:
    """Settle disputes over entries that the ledger lacks. Two people must have approved it."""
    from safeborders_fed.node.budget_statement import own_ledger
    from safeborders_fed.node.reconciling import reconcile as settle

    settings, budget = _open(home)
    ledger = own_ledger(budget)
    people = settle(settings, ledger, [path.read_bytes() for path in approval], lost_rho)
    content = _content(settings, ledger)
    output.result(
        content,
        f"Settled by {' and '.join(people)}; rho {lost_rho:g} charged.\n{_text(content)}",
        as_json=as_json,
    )


def _open(home: Path) -> tuple[NodeSettings, Ledger | StatedBudget]:
    from safeborders_fed.node.budget_statement import open_budget
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    return settings, open_budget(settings)


def _content(settings: NodeSettings, ledger: Ledger | StatedBudget) -> dict[str, Any]:
    from safeborders_fed.node.reconciling import overview

    return overview(settings, ledger)


def _text(content: dict[str, Any]) -> str:
    lines = [
        f"Node {content['node']}, epsilon at delta {content['delta']:g}. Costs add in rho, not in epsilon."
    ]
    lines += [
        f"  {span['name']:<10} spent {span['epsilon_spent']:.3f}, with what open studies reserved "
        f"{span['epsilon_held']:.3f}, of {span['epsilon_cap']:.3f} (rho {span['rho_spent']:.5f}, "
        f"{span['rho_held']:.5f} of {span['rho_cap']:.5f})"
        for span in content["totals"]
    ]
    rows = [
        [
            study["id"],
            study["opened"][:10],
            "open" if study["ended"] is None else "ended",
            study["attempts"],
            f"{study['rho_reserved']:.5f}",
            f"{study['rho_spent']:.5f}",
            f"{study['epsilon_spent']:.3f}",
        ]
        for study in content["studies"]
    ]
    header = ["study", "opened", "state", "answered", "rho reserved", "rho spent", "epsilon"]
    lines += ["", output.table(header, rows) if rows else "No study has been approved yet."]
    lines += [
        f"Counted {count['population']} in snapshot {count['snapshot']} on {count['at'][:10]}, for "
        f"least_victims: rho {count['rho']:.5f}"
        for count in content["counts"]
    ]
    if content["stated"] is not None:
        lines += [
            "",
            f"As the node's user stated it at {content['stated'][:19]} UTC, who alone opens the ledger.",
        ]
    checked = "intact" if content["stated"] is None else "not checked here"
    lines += ["", f"Journal: {content['entries']:,} entries, {checked}; head {content['head'][:16]}…"]
    lines += [
        f"DISPUTED: {dispute['witness']} witnessed entry {dispute['entries']:,}, which this ledger lacks. It "
        "was put back from an old copy; nothing is answered until two people reconcile it."
        for dispute in content["disputes"]
    ]
    if content["disputes"]:
        lines.append(f"Disputes that they sign for, with the charge: {content['disputes_hash']}")
    return "\n".join(lines)
