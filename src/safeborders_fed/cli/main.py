"""The entry point of ``safeborders``.

Guarantees: the exit code says who must act (see ``errors``); an error is one coded message with a fix, on
stderr, or with ``--json`` one object on stdout; a defect of the program shows an incident text without case
data, and a traceback only if SAFEBORDERS_DEBUG=1.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import Annotated, NoReturn

import click
import typer

from safeborders_fed import __version__
from safeborders_fed.cli import audit, coordinator, node, output, report
from safeborders_fed.cli.demo import demo
from safeborders_fed.errors import SafeBordersError, UsageError

INTERRUPTED = 130

app = typer.Typer(
    name="safeborders",
    help="Federated analytics on child trafficking case data, which never leaves its state.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Commands and command groups, each from a module of its own that imports nothing heavy at start-up.
app.add_typer(node.app, name="node")
app.add_typer(coordinator.app, name="coordinator")
app.add_typer(audit.app, name="audit")
app.add_typer(report.app, name="report")
app.command()(demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"safeborders {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version  # its callback has acted on it


def main() -> NoReturn:
    """Run the command line, and exit with the code that says who must act."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    try:
        status = _run(arguments)
    except Exception as error:  # the last resort: an unforeseen error must not show case data
        if os.environ.get("SAFEBORDERS_DEBUG") == "1":
            raise
        problem = _incident(error)
        output.error(problem, as_json="--json" in arguments)
        status = problem.exit_code
    if status == INTERRUPTED:
        output.message("Interrupted.")
    return status


def _run(arguments: list[str]) -> int:
    """Run one command; foreseen errors are printed, others raised."""
    problem: SafeBordersError
    try:
        status = app(arguments, prog_name="safeborders", standalone_mode=False)
    except SafeBordersError as error:
        problem = error
    except click.exceptions.NoArgsIsHelpError as error:
        output.message(error.format_message())
        return UsageError.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        path = context.command_path if context else "safeborders"
        problem = UsageError("usage", error.format_message(), f"see `{path} --help`")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit fails again
        return 0
    else:
        return status if isinstance(status, int) else 0  # typer turns an interruption into 130
    output.error(problem, as_json="--json" in arguments)
    return problem.exit_code


def _incident(error: Exception) -> SafeBordersError:
    """What may be said of an unforeseen error: where it arose, and not its text, which can quote a record."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "safeborders_fed" in code.co_filename:
            place = f"{code.co_filename.rpartition('safeborders_fed')[2].lstrip('/')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return SafeBordersError(
        "defect",
        f"incident {secrets.token_hex(4)}: {type(error).__name__} at {place}",
        "report this line; SAFEBORDERS_DEBUG=1 shows the traceback, which may quote case data",
    )


if __name__ == "__main__":
    main()
