"""Commands that score."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tessera.cli.app import (
    Device,
    Guidance,
    RunFolder,
    Seed,
    Temperature,
    TopK,
    TopP,
    app,
    console,
    named,
    progress,
    sampling_of,
    say,
    ticker,
    trained,
    world_of,
)
from tessera.document import Image
from tessera.verbs.evaluate import Plan, evaluate
from tessera.verbs.results import results, save_results, update_readme
from tessera.verbs.runs import training_facts
from tessera.verbs.weights import find, latest, metadata
from tessera.world.sampling import SPLITS


@app.command("evaluate", epilog="Examples: tessera evaluate chameleon · tessera evaluate --run runs/chameleon --share 0.1")
def evaluate_command(
    system: Annotated[str, typer.Argument(metavar="[SYSTEM]", help="Whose shipped weights to judge.")] = "",
    run: RunFolder = None,
    level: Annotated[str, typer.Option(help="Level of the world; by default the one it was trained on, or easy.")] = "",
    language: Annotated[str, typer.Option(help="en, zh or both; by default what it was trained on.")] = "",
    share: Annotated[float, typer.Option(help="Share of the cases; a score is published with all of them (1).")] = 1.0,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    seed: Seed = 0,
    guidance: Guidance = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON, the page and the contact sheets; of a run, RUN/results.")] = None,
    device: Device = "auto",
) -> None:
    """Score a system on the world: drawings by the oracle, captions, questions, and the ladder of what bounds them.

    All cases of shipped weights go to results/, and their headlines to the table of the README beside it.
    Guidance, temperature, top-k and top-p are those of pictures; texts are written as the recipe says.
    """
    loaded = trained(system, run, level or "easy", device)
    folder = run if run and run.is_dir() else None
    training = training_facts(folder, latest(folder)) if folder else metadata(find(run or named(system), level=level or "easy"))["notes"]
    chosen = world_of(level or training.get("level", "easy"), language or training.get("language", "en"))
    if split not in SPLITS or not 0 < share <= 1:
        raise ValueError(f"evaluate: split {split!r}, share {share:g}; {', '.join(SPLITS)}, and shares above 0 up to 1; change it")
    usual = loaded.port(Image(learn=True)).law.sampling
    sampling = sampling_of(usual, {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p})
    plan = replace(Plan().scaled(share), seed=seed, split=split, sampling={Image: sampling})
    published = share == 1 and split == "test" and sampling == usual and run is None
    plain = chosen.level.name == "easy" and chosen.language == "en"
    name = loaded.name if plain else f"{loaded.name}-{chosen.level.name}-{chosen.language}"
    out = out or (folder / "results" if folder else Path("results") if published else Path("results-unpublished"))
    sheets = out / "sheets" / name
    sheets.mkdir(parents=True, exist_ok=True)
    with progress() as bars:
        scores = evaluate(loaded, chosen, plan, folder=sheets, tick=ticker(bars))
    save_results(results(loaded, chosen, plan, scores, training=training), out / f"{name}.json")
    readme = out.parent / "README.md"
    if published and readme.exists() and "<!-- results -->" in readme.read_text():
        update_readme(readme, out)
    table = Table("score", "value", "95 % interval", "n")
    for key, score in scores.items():
        table.add_row(key, f"{score.value:.3f}", f"{score.ci95[0]:.3f} to {score.ci95[1]:.3f}", str(score.n))
    console.print(table)
    say(f"{out / (name + '.json')}, its page beside it, contact sheets in {sheets}")
