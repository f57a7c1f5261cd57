"""The command that gives a system back to those who published it."""

from pathlib import Path
from typing import Annotated

import typer

from tessera.cli.app import app, say
from tessera.hub import export_published
from tessera.verbs.adapters import save_adapters
from tessera.verbs.weights import load

FORMATS = ("transformers", "peft")


@app.command("export", epilog="Example: tessera export runs/mine janus-mine --format transformers")
def export_command(
    run: Annotated[Path, typer.Argument(help="The folder of a run that began `--from` a published model, or its weights file.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    format: Annotated[str, typer.Option(help=", ".join(FORMATS) + ".")] = FORMATS[0],
) -> None:
    """Write a folder that `transformers` loads, with the same answers, adapters merged; or adapters alone, as peft keeps them."""
    if format not in FORMATS:
        raise ValueError(f"export: format {format!r}; {', '.join(FORMATS)} are accepted; choose one")
    if out.exists():
        raise ValueError(f"export: {out} exists; a new folder is accepted; choose another")
    system = load(run, device="cpu")
    if format == "peft":
        save_adapters(system, out)
        say(f"{out}: adapters of {system.name}, for the model that they were trained from")
        return
    files = export_published(system, out)
    say(f"{out}: {sum(file.stat().st_size for file in files) / 2**20:,.0f} MB in {len(files)} file{'s' * (len(files) > 1)}")
