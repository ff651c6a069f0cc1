"""``safeborders report build``: the page of released tables.

Guarantees: it parses, calls one function and prints. Nothing is read from tables that are withdrawn or
altered,
and no file is overwritten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safeborders_fed.cli import files, output


def register(app: typer.Typer) -> None:
    """Makes ``build`` a command of the group ``report``."""
    app.command("build")(build)


def build(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLES...",
            help="Released tables (ID.tables.json), each with its statement beside it; earlier ones first.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The page, a new file.")],
    typologies: Annotated[
        Path | None,
        typer.Option(help="Released tables of a typology study, with their statement beside them."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Say in the banner that the records are made up.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Write one HTML page of released tables, which opens without a network."""
    from safeborders_fed.reporting import building, reading

    released = [reading.read(path) for path in tables]
    types = None if typologies is None else reading.read(typologies)
    page = building.build(released, title, typologies=types, synthetic=synthetic).encode("utf-8")
    files.write_new(out, page)
    last = released[-1]
    content = {
        "release": last.loaded.tables.id,
        "page": str(out),
        "bytes": len(page),
        "cite": last.citation,
    }
    said = f"{out}: {last.loaded.tables.id}, {len(page):,} bytes\nCite: {last.citation}"
    output.result(content, said, as_json=as_json)
