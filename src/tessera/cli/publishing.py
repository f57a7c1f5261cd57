"""The command that gives a system back to those who published it."""

from pathlib import Path
from typing import Annotated

import typer

from tessera.cli.app import app, say
from tessera.hub import export_published
from tessera.verbs.weights import load

FORMATS = ("transformers",)


@app.command("export", epilog="Example: tessera export runs/mine janus-mine --format transformers")
def export_command(
    run: Annotated[Path, typer.Argument(help="The folder of a run that began `--from` a published model, or its weights file.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    format: Annotated[str, typer.Option(help=", ".join(FORMATS) + ".")] = FORMATS[0],
) -> None:
    """Write a folder that `transformers` loads, with the same answers."""
    if format not in FORMATS:
        raise ValueError(f"export: format {format!r}; {', '.join(FORMATS)} is accepted; choose it")
    files = export_published(load(run, device="cpu"), out)
    say(f"{out}: {sum(file.stat().st_size for file in files) / 2**20:,.0f} MB in {len(files)} file{'s' * (len(files) > 1)}")
