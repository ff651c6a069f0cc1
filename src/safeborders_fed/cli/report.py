"""The commands of ``safeborders report``: what analysts read of a release.

Guarantees: each command parses, calls one function and prints; everything heavy is imported inside it.
"""

from __future__ import annotations

import typer

from safeborders_fed.cli import needs, report_build, report_tables, report_warnings

app = typer.Typer(help="Read and publish what a study released.", no_args_is_help=True, rich_markup_mode=None)
report_tables.register(app)
report_build.register(app)
report_warnings.register(app)
needs.attach_to_report(app)  # the last: all commands are there
