"""The commands of ``safeborders coordinator``: for its operators.

Guarantees: each command parses, calls one function and prints; everything heavy is imported inside it. A key
is named by its file, never typed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import (
    audit_coordinator,
    coordinator_study,
    coordinator_tables,
    doctor,
    enrolment_coordinator,
    links_coordinator,
    needs,
    output,
    service,
)

if TYPE_CHECKING:
    from datetime import date, datetime

    from safeborders_fed.coordinator.handing_out import Signed
    from safeborders_fed.coordinator.models import Listed
    from safeborders_fed.study.model_file import Model

app = typer.Typer(help="Run the coordinator.", no_args_is_help=True, rich_markup_mode=None)
operator_app = typer.Typer(help="Enrol operators.", no_args_is_help=True, rich_markup_mode=None)
models_app = typer.Typer(help="Look at models.", no_args_is_help=True, rich_markup_mode=None)
release_app = typer.Typer(help="Release and withdraw.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(operator_app, name="operator")
app.add_typer(models_app, name="models")
app.add_typer(release_app, name="release")
app.add_typer(coordinator_study.app, name="study")
app.add_typer(coordinator_tables.app, name="tables")
release_app.command("tables")(coordinator_tables.release_tables)
app.add_typer(audit_coordinator.app, name="audit")
app.add_typer(links_coordinator.app, name="links")
enrolment_coordinator.register(app)
app.command("start")(service.coordinator_start)
app.command("status")(service.coordinator_status)
app.command("doctor")(doctor.coordinator_doctor)

Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
By = Annotated[str, typer.Option("--by", help="Your name, as enrolled.")]
KeyFile = Annotated[Path, typer.Option("--key-file", help="Your key file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ModelName = Annotated[str, typer.Argument(help="NAME-VERSION, or NAME for its latest version.")]
_FOUR_EYES = 2


@app.command()
def init(
    home: Annotated[Path, typer.Option(help="A new directory for the coordinator.")],
    operator: Annotated[str, typer.Option(help="Name of the first operator.")],
    key_file: Annotated[Path, typer.Option(help="A new file for their key, outside that directory.")],
    signatures: Annotated[
        int, typer.Option(min=1, max=16, help="How many operators must sign a release.")
    ] = _FOUR_EYES,
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT that nodes dial; without it, it looks after models only.")
    ] = None,
    listen: enrolment_coordinator.Listen = None,
    ca_key_file: Annotated[
        Path | None,
        typer.Option(help="A new file for the certificate authority's key, outside the directory."),
    ] = None,
    service_key_file: Annotated[
        Path | None,
        typer.Option(help="A new file for the service's key (default: beside the directory)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a new coordinator: directory, settings, the first operator's key, and certificates."""
    from safeborders_fed.coordinator.founding import add_network
    from safeborders_fed.coordinator.home import create_home
    from safeborders_fed.coordinator.network import require_address
    from safeborders_fed.errors import UsageError

    if (address is None) != (ca_key_file is None):
        raise UsageError(
            "usage", "--address and --ca-key-file go together", "give both, or neither for models only"
        )
    for text in filter(None, (address, listen)):
        require_address(text)
    made = create_home(
        home,
        operator=operator,
        key_file=key_file,
        release_signatures=signatures,
        service_key_file=service_key_file,
    )
    output.message(
        f"The service signs with the key in {made.service_keys[-1].key_file}: back it up, and leave it there."
    )
    if address is not None and ca_key_file is not None:
        made = add_network(made, address=address, listen=listen, ca_key_file=ca_key_file, now=_now())
        output.message(
            f"Nodes reach it at {made.network.address}. The authority's key is in {ca_key_file}: keep it on "
            "a medium of its own; it is needed once a year."
        )
    _print_operator(made.operators[0].name, made.operators[0].public, key_file, as_json=as_json)


@operator_app.command("add")
def operator_add(
    home: Home,
    operator: Annotated[str, typer.Option("--name", help="Name of the operator.")],
    key_file: Annotated[Path, typer.Option(help="A new file for their key, outside the directory.")],
    as_json: Json = False,
) -> None:
    """Enrol a further operator, with a key of their own."""
    from safeborders_fed.coordinator.home import CoordinatorHome, add_operator

    added = add_operator(CoordinatorHome.load(home), operator, key_file)
    _print_operator(added.name, added.public, key_file, as_json=as_json)


def _print_operator(name: str, public: str, key_file: Path, *, as_json: bool) -> None:
    output.result(
        {"operator": name, "public_key": public, "key_file": str(key_file)},
        f"{name} signs with the key in {key_file}: keep it on a medium of your own.\n"
        f"Public key: {public}\n"
        "Nodes pin it in node.toml (operator_keys) after comparing it with you in person or by telephone.",
        as_json=as_json,
    )


@models_app.command("list")
def models_list(home: Home, as_json: Json = False) -> None:
    """List all models, what became of each, and who has signed."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.models import listed

    rows = [_content(entry) for entry in listed(CoordinatorHome.load(home))]
    names = ("model", "kind", "target", "status", "signed", "created")
    text = output.table(
        ("model", "kind", "label", "status", "signed by", "made"),
        [[row[name] if name != "signed" else ", ".join(row[name]) for name in names] for row in rows],
    )
    output.result({"models": rows}, text if rows else "There is no model yet.", as_json=as_json)


@models_app.command("show")
def models_show(model: ModelName, home: Home, as_json: Json = False) -> None:
    """Show all that a model file says of itself, and the hash that operators sign."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.models import find

    coordinator = CoordinatorHome.load(home)
    found = find(coordinator, model)
    content = _content(found) | {
        "parameters": found.model.head.parameters,
        "facts": found.model.head.facts,
        "card_sha256": found.model.head.card_hash,
        "accuracy_known": found.model.accuracy_known,
    }
    output.result(content, _text(found, coordinator.release_signatures), as_json=as_json)


@release_app.command("model")
def release_model(
    model: ModelName,
    home: Home,
    by: By,
    key_file: KeyFile,
    sha256: Annotated[str, typer.Option("--hash", help="SHA-256 that `models show` prints: what you sign.")],
    reason: Annotated[
        str | None, typer.Option(help="What it is released for; the first operator says it.")
    ] = None,
    although_unknown: Annotated[
        bool,
        typer.Option(
            "--although-accuracy-unknown",
            help="Release it although nobody knows whether it ranks better than chance.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign the release of a model. With enough signatures it is put where nodes get it from."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.models import release
    from safeborders_fed.study.key_files import load_key

    coordinator, key = CoordinatorHome.load(home), load_key(key_file)
    signed = release(
        coordinator,
        model,
        sha256=sha256,
        by=by,
        key=key,
        today=_today(),
        reason=reason,
        although_unknown=although_unknown,
    )
    _print_signed(signed, "released", as_json=as_json)


@release_app.command("withdraw")
def release_withdraw(
    model: Annotated[str, typer.Argument(help="NAME-VERSION, or NAME for its latest version.")],
    home: Home,
    by: By,
    key_file: KeyFile,
    reason: Annotated[str, typer.Option(help="Why nobody must use it any more.")],
    tables: Annotated[bool, typer.Option("--tables", help="It is tables that are withdrawn.")] = False,
    as_json: Json = False,
) -> None:
    """Withdraw a model, or tables: one operator can. Whoever gets the statement is refused what it names."""
    if tables:
        coordinator_tables.withdraw_tables(model, home, by, key_file, reason, as_json=as_json)
        return
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.models import withdraw
    from safeborders_fed.study.key_files import load_key

    coordinator, key = CoordinatorHome.load(home), load_key(key_file)
    signed = withdraw(coordinator, model, by=by, key=key, today=_today(), reason=reason)
    _print_signed(signed, "withdrawn", as_json=as_json)


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _today() -> date:
    return _now().date()


def _print_signed(signed: Signed, done: str, *, as_json: bool) -> None:
    content = {
        "signed": list(signed.signed),
        "missing": signed.missing,
        "files": [str(path) for path in signed.files],
    }
    people = ", ".join(signed.signed)
    if signed.missing:
        wanted = _wanted(len(signed.signed), signed.missing)
        text = f"Signed by {people}. {signed.missing} more must sign before it is {done}: {wanted}."
    else:
        names = "\n".join(f"  {path}" for path in signed.files)
        text = f"Signed by {people}: {done}. Give to every node:\n{names}"
    output.result(content, text, as_json=as_json)


def _content(entry: Listed) -> dict[str, Any]:
    head = entry.model.head
    return {
        "model": str(head.id),
        "sha256": entry.model.sha256,
        "kind": head.kind,
        "target": head.facts["target"],
        "status": entry.status,
        "signed": list(entry.signed),
        "withdrawal": entry.withdrawal,
        "study": head.study,
        "manifest_hash": head.manifest_hash,
        "contract_version": head.contract_version,
        "software_version": head.software_version,
        "created": head.created.isoformat(),
    }


def _wanted(signed: int, missing: int) -> str:
    """Whom to ask, when somebody has signed and others must."""
    return "ask for the second signature" if (signed, missing) == (1, 1) else f"ask for {missing} more"


def _text(entry: Listed, needed: int) -> str:
    """What ``models show`` prints; ``needed`` is how many people release a model."""
    head, facts = entry.model.head, entry.model.head.facts
    counts = [_count(facts[name], facts["counts_error"]) for name in ("labelled_noisy", "positives_noisy")]
    waiting = entry.status == "candidate" and 0 < len(entry.signed) < needed
    wanted = f"; {_wanted(len(entry.signed), needed - len(entry.signed))}" if waiting else ""
    lines = {
        "Model": f"{head.id} ({head.kind}), made on {head.created}",
        "SHA-256": entry.model.sha256,
        "Status": entry.status + (f": {entry.withdrawal}" if entry.withdrawal else ""),
        "Signed by": (", ".join(entry.signed) or "nobody") + wanted,
        "Study": f"{head.study}, manifest {head.manifest_hash}",
        "Label": f"{facts['target']}, population {facts['population']}",
        "Features": ", ".join(facts["features"]),
        "Learnt from": f"{counts[0]} persons, {counts[1]} of them with the label (± 95% margin of the noise)",
        "Accuracy": _accuracy(entry.model),
        "Model card": head.card_hash or "none",
        "Made for": f"data contract {head.contract_version}; written by version {head.software_version}",
    }
    return "\n".join(f"{name + ':':<13}{text}" for name, text in lines.items())


def _count(value: float, error: float) -> str:
    from safeborders_fed.reporting.figures import count_of

    return count_of(value, error).plain.replace("\u00a0", " ")


def _accuracy(model: Model) -> str:
    from safeborders_fed.reporting.accuracy import UNKNOWN

    evaluation = model.head.facts.get("evaluation")
    if evaluation is None:
        text = "not measured, nobody was held out"
    else:
        overall = evaluation["overall"]
        victims = _count(overall["victims"], overall["victims_error"])
        positives = _count(overall["positives"], overall["positives_error"])
        area = (
            f"not known: {overall['reason']}"
            if overall["auc"] is None
            else f"area under the ROC curve {overall['auc']:.3f} ± {overall['margin']:.3f}"
        )
        text = f"{area}; on {victims} held-out persons, {positives} of them with the label"
    return text if model.accuracy_known else f"{text}. {UNKNOWN}"


needs.attach_to_coordinator(app)  # the last: all commands are there
