"""The commands of ``safeborders node``: for the national IT team.

Guarantees: each command parses, calls one function and prints. Everything heavy is imported inside the
command, so that ``--help`` is quick.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safeborders_fed.cli import (
    approvers,
    audit_log,
    backup,
    cases,
    doctor,
    enrolment_node,
    ledger,
    links_node,
    needs,
    node_study,
    output,
    policy,
    roles,
    roster,
    score,
    service,
)

if TYPE_CHECKING:
    from safeborders_fed.cases.intake import ImportReport

app = typer.Typer(
    help="Run a node beside the national case data.", no_args_is_help=True, rich_markup_mode=None
)
mapping_app = typer.Typer(help="Check and draft mappings.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(mapping_app, name="mapping")
app.add_typer(cases.app, name="cases")
app.add_typer(ledger.app, name="ledger")
app.add_typer(roster.app, name="roster")
app.add_typer(approvers.app, name="approver")
app.add_typer(node_study.app, name="study")
app.add_typer(policy.app, name="policy")
app.add_typer(links_node.app, name="links")
enrolment_node.register(app)
app.add_typer(score.model_app, name="model")
app.add_typer(audit_log.app, name="audit")
app.add_typer(roles.app, name="roles")
app.command("whoami")(roles.whoami)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("start")(service.node_start)
app.command("status")(service.node_status)
app.command("doctor")(doctor.node_doctor)
app.command("score")(score.score)
app.command("review")(score.review)

Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_MOST_VICTIMS = 2_000_000


@app.command()
def init(
    country: Annotated[str, typer.Option(help="The member state: BE BG FI GR IT PL PT or RO.")],
    home: Annotated[Path, typer.Option(help="A new directory for the node.")],
    key_file: Annotated[Path, typer.Option(help="A new file for its secrets, outside that directory.")],
    max_victims: Annotated[
        int, typer.Option(min=1, help="Public cap on the number of victims in the case store.")
    ] = _MOST_VICTIMS,
    key_protection: Annotated[
        str, typer.Option(help="What the file of secrets is under: none, passphrase or kms.")
    ] = "none",
    passphrase_file: Annotated[
        Path | None, typer.Option(help="With passphrase: a file of mode 600 that holds it (default: ask).")
    ] = None,
    wrapped_key: Annotated[
        Path | None, typer.Option(help="With kms: file with a 256-bit key as the key service wrapped it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a new node: directory, empty case store, node.toml and key file."""
    from safeborders_fed.node.creating import create_node
    from safeborders_fed.node.enrolment import write_request

    wanted = cases.wanted(key_protection, passphrase_file, wrapped_key)
    settings = create_node(home, country, key_file, max_victims, wanted)
    request = write_request(settings, enrolment_node.now())
    output.result(
        enrolment_node.request_content(request)
        | {
            "home": settings.home,
            "country": settings.country,
            "key_file": settings.key_path,
            "signing_key_file": settings.signing_key_path,
            "transport_key_file": settings.transport_key_path,
        },
        f"The node for {settings.country} is in {settings.home}.\n"
        f"Its secrets are in {settings.key_path}, its signing key in {settings.signing_key_path}, its "
        f"transport key in {settings.transport_key_path}: back them up apart from the data.\n"
        f"{enrolment_node.request_text(request)}\n"
        "Next: safeborders node mapping suggest FILE",
        as_json=as_json,
    )


@app.command()
def contract(as_json: Json = False) -> None:
    """Show the data contract: fields, their values, and the public bins that analyses use."""
    from safeborders_fed.cli.contract_text import contract_content, contract_text

    output.result(contract_content(), contract_text(), as_json=as_json)


@mapping_app.command("check")
def mapping_check(
    mapping: Annotated[Path, typer.Argument(help="The mapping.")],
    file: Annotated[Path | None, typer.Argument(help="A national file to try it on.")] = None,
    as_json: Json = False,
) -> None:
    """Check a mapping, and on a national file too if one is given. Nothing is stored."""
    from safeborders_fed.cases.intake import preview_file
    from safeborders_fed.cases.mapping import load_mapping

    loaded = load_mapping(mapping)
    if file is None:
        text = f"{mapping} is right: {len(loaded.fields)} fields from {len(loaded.columns())} columns."
        output.result({"mapping": loaded.name, "fields": list(loaded.fields)}, text, as_json=as_json)
        return
    _print_report(preview_file(file, loaded), as_json=as_json)


@mapping_app.command("suggest")
def mapping_suggest(
    file: Annotated[Path, typer.Argument(help="The national file.")], as_json: Json = False
) -> None:
    """Draft a mapping for a national file: a TOML text to review and complete."""
    from safeborders_fed.cases.drafting import draft_mapping

    draft = draft_mapping(file)
    output.result({"mapping": draft.text, "open": draft.open}, draft.text.rstrip("\n"), as_json=as_json)
    for point in draft.open:
        output.message(f"Still open: {point}")


@app.command("import")
def import_cases(
    file: Annotated[Path, typer.Argument(help="The national file.")],
    mapping: Annotated[Path, typer.Option("--mapping", "-m", help="How to read it (TOML).")],
    home: Home,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")
    ] = False,
    max_rejected: Annotated[
        int | None, typer.Option(min=0, help="Refuse the file if more rows than this are rejected.")
    ] = None,
    quarantine: Annotated[
        Path | None, typer.Option(help="A new file for rejected rows (default: in the case store).")
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Let victims in who were erased. It is written down.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import a national file into the case store, as a new snapshot."""
    from safeborders_fed.cases.intake import import_file
    from safeborders_fed.cases.mapping import load_mapping
    from safeborders_fed.cli.progress import file_progress
    from safeborders_fed.node.intake_terms import current_cutoffs, record_import
    from safeborders_fed.node.settings import NodeSettings

    loaded = load_mapping(mapping)
    settings = NodeSettings.load(home)
    store = settings.open_store()
    if not dry_run:
        record_import(settings, file.name, loaded.name, restore=restore)
    with file_progress(f"Reading {file.name}", quiet=as_json) as progress:
        report = import_file(
            file,
            loaded,
            store,
            max_rejected=max_rejected,
            dry_run=dry_run,
            quarantine=quarantine,
            progress=progress,
            cutoffs=current_cutoffs(settings),
            restore=restore,
        )
    _print_report(report, as_json=as_json)


def _print_report(report: ImportReport, *, as_json: bool) -> None:
    from safeborders_fed.cli.import_text import report_text

    output.result({"summary": asdict(report)}, report_text(report), as_json=as_json)


needs.attach_to_node(app)  # the last: all commands are there
