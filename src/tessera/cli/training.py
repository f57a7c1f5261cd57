"""Commands that train: a system, and the tokenizer that comes with the library; and trained weights as one file."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Table

from tessera.cli.app import (
    Arguments,
    Device,
    HeldOut,
    LanguageName,
    Leaning,
    LevelName,
    Preset,
    Seed,
    TrustPickle,
    app,
    arguments_of,
    console,
    fits,
    fitting,
    picture_side,
    progress,
    say,
    ticker,
    world_of,
)
from tessera.codecs.text import train_bpe
from tessera.data import BadRow, Dataset, Mannered, Mixture, Source, open_data
from tessera.data.source import listed
from tessera.document import Task
from tessera.exams.features import accuracy, save_features, train_features
from tessera.hub.loading import ORIGIN, outline_published
from tessera.hub.speaking import ORIGIN as SPOKEN
from tessera.stages import Stage
from tessera.system import System
from tessera.verbs import recipes
from tessera.verbs.glance import glance, glance_data
from tessera.verbs.machine import commit
from tessera.verbs.memory import memory_of
from tessera.verbs.parts import Parts, is_part
from tessera.verbs.runs import training_facts
from tessera.verbs.train import Glance, Settings, train
from tessera.verbs.weights import PARTS, find, latest, load, metadata, restore, save
from tessera.weightless import weightless as without_weights
from tessera.world import LANGUAGES, LEVELS, World
from tessera.world.samples import texts

SPEAKER, SIZES = "language", {"width", "depth", "heads"}  # the argument that takes a language model, and those that say its sizes

Asked = Annotated[str | None, typer.Argument(metavar="[SYSTEM]", help="A recipe's name, or package.module:function; or give --from.")]
Published = Annotated[str, typer.Option("--from", help="Fine-tune a published model: a folder, or owner/name on the hub.")]
Rank = Annotated[int, typer.Option("--lora", min=0, help="Of a published model, train adapters of this rank beside its trunk alone.")]
InitTrunk = Annotated[
    str, typer.Option(help="Begin with a published language model (Llama, Qwen2, Qwen3, Mistral): a folder, or owner/name.")
]
Data = Annotated[
    list[Path] | None,
    typer.Option(
        help="Your own pictures and texts, instead of the world: a folder with a .jsonl, LLaVA .json, WebDataset .tar; may be repeated."
    ),
]
Images = Annotated[Path | None, typer.Option(help="Where the pictures of a LLaVA file lie, if not beside it.")]
Format = Annotated[str | None, typer.Option(help="folder, llava or webdataset, where it is not plain from --data.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out, and list them at the end.")]
Start = Annotated[str | None, typer.Option(help="Begin with these weights: a system's shipped ones, a file or a run.")]
Stages = Annotated[list[str] | None, typer.Option("--stage", help="Only this stage; may be repeated.")]
Documents = Annotated[list[str] | None, typer.Option(help="How many of a stage, as stage=number; may be repeated.")]
Mix = Annotated[
    list[str] | None, typer.Option(help="Another mix of tasks for the stages that train the system, as task=share; may be repeated.")
]
Batch = Annotated[int | None, typer.Option(min=1, help="Documents of a step, in the stages that train the system.")]
Dry = Annotated[bool, typer.Option("--estimate", help="Train nothing: say what memory each stage takes, from a dry run without weights.")]
Optimizer = Annotated[str, typer.Option(help="muon (trunks' matrices; AdamW for the rest), or adamw: what published models get.")]
Recompute = Annotated[
    bool, typer.Option("--checkpointing", help="Gradient checkpointing: less memory, a third more time, the same numbers.")
]


@app.command(
    "train",
    epilog="Examples: tessera train chameleon · tessera train chameleon --data my_pictures --run runs/mine · ... --resume · "
    "tessera train --from deepseek-community/Janus-Pro-1B --data my_pictures --lora 16 --checkpointing",
)
def train_command(
    system: Asked = None,
    run: Annotated[Path | None, typer.Option("--run", help="The run's folder; runs/SYSTEM by default.")] = None,
    published: Published = "",
    lora: Rank = 0,
    trust_pickle: TrustPickle = False,
    data: Data = None,
    images: Images = None,
    format: Format = None,
    skip_bad: SkipBad = False,
    level: LevelName = "easy",
    language: LanguageName = "en",
    bias: Leaning = None,
    held_out: HeldOut = "",
    preset: Preset = "default",
    arguments: Arguments = None,
    start: Start = None,
    stages: Stages = None,
    documents: Documents = None,
    mix: Mix = None,
    batch: Batch = None,
    scale: Annotated[float, typer.Option(help="Multiplies the documents of every stage but those of shared parts.")] = 1.0,
    seed: Seed = 0,
    rate: Annotated[float, typer.Option(help="Multiplies the learning rate of the same stages.")] = 1.0,
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    optimizer: Optimizer = "",
    compile: Annotated[bool, typer.Option("--compile", help="Compile the trunk.")] = False,
    checkpointing: Recompute = False,
    estimate: Dry = False,
    init_trunk: InitTrunk = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's latest checkpoint.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train shared parts (codecs, eyes) too, and keep them to itself.")] = False,
) -> None:
    """Train a system through its stages, or fine-tune a published one, on the world or on your own data. Ctrl-C stops with a checkpoint."""
    named_once(system, published, lora, bool(data) or estimate)
    of_data: dict[str, Any] = {"format": format, "images": images, "skip_bad": skip_bad}
    of_world: dict[str, Any] = {"language": language, "bias": bias, "held_out": held_out}
    of_one_source(bool(data), of_data, {**of_world, "level": "" if start else level})
    asked = speaking(system, arguments_of(arguments), init_trunk, trust_pickle, outline=estimate)
    built = begun(system, preset, asked, published, lora, trust_pickle, seed, weightless=estimate)
    learned = started(built, start, level) if start and not estimate else {}
    built.stages = changed(chosen_stages(built, stages or [], arguments_of(documents, "--documents")), arguments_of(mix, "--mix"), batch)
    if estimate:
        given = opened(built, data, seed=seed, **of_data) if data else None
        told(built, given.source if given else None, seed)
        return report(given.bad if given else [])
    folder = run or Path("runs") / (system or built.name).replace(":", ".")
    moved = optimizer or ("adamw" if published else "muon")
    settings = Settings(seed, scale, rate, device, precision, moved, compile, checkpointing)
    source, look, notes, bad = opened(built, data, seed=seed, **of_data) if data else the_world(built, world_of(level, **of_world))
    notes |= {"only_stages": stages or [], "start": start or "", "fresh": fresh, **learned}
    parts = Parts(source.hash()) if isinstance(source, World) and not fresh else None
    try:
        train(built, source, folder, settings=settings, resume=resume, glance=look, notes=notes, parts=parts)
    finally:
        report(bad)
    verb = "draw" if Task.DRAW in source.tasks and built.shows else "ask"
    judged = any(fits(built, one) for one in LEVELS.values())
    say(f"trained: {folder}; try `tessera {verb} --run {folder} ...`" + (f" and `tessera evaluate --run {folder}`" if judged else ""))


def of_one_source(data: bool, of_data: Mapping[str, Any], of_world: Mapping[str, Any]) -> None:
    """Raises ValueError for options of the source that is not learned from: they would change nothing."""
    usual = {"language": "en", "level": "easy"}
    idle = [f"--{name.replace('_', '-')}" for name, value in (of_world if data else of_data).items() if value and value != usual.get(name)]
    if idle:
        who, other = ("data of your own (--data)", "the world") if data else ("the world", "data of your own (--data)")
        raise ValueError(f"train: {', '.join(idle)} with {who}; that belongs to {other}; leave it out")


def named_once(system: str | None, published: str, lora: int, data: bool) -> None:
    """Raises ValueError unless either a recipe or a published model is to be trained; adapters are for these, and they want data."""
    if bool(system) == bool(published):
        raise ValueError(
            f"train: SYSTEM {system or 'not given'}, --from {published or 'not given'}; one of them is accepted; name a recipe "
            "(see `tessera systems`), or a published model's folder or id"
        )
    if published and not data:
        raise ValueError(f"train: --from {published} without --data; your own pictures and texts are needed; name them")
    if lora and not published:
        raise ValueError(f"train: --lora {lora} with SYSTEM {system}; it goes with --from; leave it out, or name a published model")


def begun(
    system: str | None,
    preset: str,
    arguments: Mapping[str, Any],
    published: str,
    lora: int,
    trust_pickle: bool,
    seed: int,
    *,
    weightless: bool,
) -> System:
    """What is to be trained: a recipe's system, or a published one; its weights are as they come, or none at all."""
    precision = "" if lora else "float32"  # whose every weight learns, has no small steps in 16 bits
    if published and weightless:
        return outline_published(published, precision=precision, lora=lora)
    if published:
        told = {"path": published, "lora": lora, "trust_pickle": trust_pickle, "precision": precision}
        return recipes.build(ORIGIN, arguments=told, seed=seed)
    assert system
    with without_weights() if weightless else nullcontext():
        return recipes.build(system, preset=preset, arguments=arguments, seed=seed)


def speaking(system: str | None, arguments: Mapping[str, Any], init_trunk: str, trust_pickle: bool, *, outline: bool) -> Mapping[str, Any]:
    """A recipe's arguments, and the language model that it shall begin with. Raises ValueError where it takes none, or not these too."""
    if not init_trunk:
        return arguments
    takes = [name for name in recipes.names() if SPEAKER in inspect.signature(recipes.recipe(name)[0]).parameters]
    if not system or SPEAKER not in inspect.signature(recipes.recipe(system)[0]).parameters:
        raise ValueError(
            f"train: --init-trunk for {system or 'a published model'}; {', '.join(takes)} take a language model; choose one of them"
        )
    clash = sorted(SIZES & arguments.keys())
    if clash:
        raise ValueError(f"train: --set {', '.join(clash)} with --init-trunk {init_trunk}, which has sizes of its own; leave these out")
    place = str(Path(init_trunk).resolve()) if Path(init_trunk).is_dir() else init_trunk
    told = {"path": place, "trust_pickle": trust_pickle, **({"outline": True} if outline else {})}
    return {**arguments, SPEAKER: recipes.part_of(SPOKEN, told)}


def told(system: System, source: Source | None, seed: int) -> None:
    """What every stage would take, in MB."""
    found = {stage: memory_of(system, stage, source, seed=seed) for stage in system.stages}
    table = Table("MB", *(f"{stage.name}, {stage.batch} documents a step" for stage in found))
    megabytes = lambda count: [f"{count(memory) / 2**20:,.0f}" for memory in found.values()]
    table.add_row("weights", *megabytes(lambda one: one.weights))
    table.add_row("gradients", *megabytes(lambda one: one.gradients))
    table.add_row("optimizer", *megabytes(lambda one: one.optimizer))
    table.add_row("making the next batch ready", *megabytes(lambda one: one.encoding), end_section=True)
    table.add_row("activations", *megabytes(lambda one: one.plain.activations))
    table.add_row("in all", *megabytes(lambda one: one.total(one.plain)), end_section=True)
    table.add_row("activations with --checkpointing", *megabytes(lambda one: one.recomputed.activations))
    table.add_row("in all", *megabytes(lambda one: one.total(one.recomputed)))
    console.print(table)


def started(system: System, start: str, level: str) -> dict[str, Any]:
    """Begin with these weights; how they have learned, those before them too: as they tell, or the run whose checkpoint they are."""
    weights = find(start, level=level)
    restore(system, weights)
    checkpoint = weights.parent
    if (checkpoint / "facts.json").is_file():
        return {"before": training_facts(checkpoint.parent.parent, checkpoint)}
    return {"before": metadata(weights)["notes"]}


class Opened(NamedTuple):
    """What is learned from, how it is looked at, what the run's folder says of it, and the rows that were left out."""

    source: Source
    look: Glance
    notes: dict[str, Any]
    bad: list[BadRow]


def the_world(system: System, world: World) -> Opened:
    """The world, where the oracle judges. Raises ValueError for a system with pictures of another size."""
    fitting(system, world.level)
    notes = {
        "level": world.level.name,
        "language": world.language,
        "bias": asdict(world.bias),
        "held_out": world.held_out,
        "world": world.hash(),
    }
    return Opened(world, lambda system, folder, name: glance(system, world, folder, name), notes, [])


def opened(system: System, data: Sequence[Path], format: str | None, images: Path | None, skip_bad: bool, seed: int) -> Opened:
    """A user's data sets as one, every row of them checked: each row comes as often as any other of its task."""
    size = None if system.manners else (picture_side(system),) * 2
    with progress() as bars:
        tick = ticker(bars)

        def read(path: Path) -> Dataset:
            checking = lambda done, total: tick(f"checking {path}", done, total)
            return open_data(path, size, seed, skip_bad=skip_bad, format=format, images=images, tick=checking)

        sets = [read(path) for path in data]
    mixed = sets[0] if len(sets) == 1 else Mixture(sets, [one.counts for one in sets], seed=seed)
    source = Mannered(mixed, system.manners) if system.manners else mixed
    learned = {task for stage in system.stages for task, share in stage.mix.items() if share}
    if idle := sum(one.idle(learned) for one in sets):
        say(f"{idle} rows are of no task that these stages learn ({listed(learned)}); --mix, or other stages, would learn them")
    bad = [row for one in sets for row in one.bad]
    notes = {"data": ", ".join(str(path.resolve()) for path in data), "rows": sum(map(len, sets)), "bad": len(bad)}
    return Opened(source, lambda system, folder, name: glance_data(system, source, folder, name), notes, bad)


def chosen_stages(system: System, names: list[str], documents: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The stages of these names, in the system's order; all where none is named; with other numbers of documents for some."""
    known = [stage.name for stage in system.stages]
    unknown = [name for name in (*names, *documents) if name not in known or (names and name not in names)]
    if unknown:
        raise ValueError(f"{system.name}: stage {', '.join(unknown)}; there are {', '.join(known)}; choose among them")
    wrong = {name: number for name, number in documents.items() if not isinstance(number, int) or number < 1}
    if wrong:
        raise ValueError(f"--documents: {wrong}; whole numbers from 1 on are accepted; for example --documents {known[0]}=10000")
    chosen = [stage for stage in system.stages if not names or stage.name in names]
    for stage in chosen:
        if documents.get(stage.name, stage.batch) < stage.batch:
            say(f"{stage.name}: {documents[stage.name]} documents; it reads {stage.batch}, one batch, which is the least (--batch)")
    return tuple(replace(stage, documents=documents.get(stage.name, stage.documents)) for stage in chosen)


def changed(stages: tuple[Stage, ...], shares: Mapping[str, Any], batch: int | None) -> tuple[Stage, ...]:
    """The stages with another mix of tasks and other batches, where these are given; those that train a part keep theirs."""
    known = [task.value for task in Task]
    wrong = {name: share for name, share in shares.items() if name not in known or not isinstance(share, int | float) or share < 0}
    if wrong or (shares and not any(shares.values())):
        raise ValueError(f"--mix: {wrong or shares}; shares from 0 on of {', '.join(known)} are accepted; for example --mix edit=0.5")
    mix = {Task(name): float(share) for name, share in shares.items()}
    other: dict[str, Any] = ({"mix": mix} if mix else {}) | ({"batch": batch} if batch else {})
    return tuple(stage if is_part(stage) else replace(stage, **other) for stage in stages)


def report(bad: Sequence[BadRow]) -> None:
    """The rows that were left out, all of them."""
    if bad:
        say(f"{len(bad)} bad rows were left out:")
    for row in bad:
        say(f"  {row}")


@app.command(epilog="Example: tessera weights runs/chameleon chameleon.safetensors --bits 16")
def weights(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    out: Annotated[Path, typer.Argument(help="The weights file to write.")],
    bits: Annotated[int, typer.Option(help="Bits a number: 32, 16, or 8 with a scale for each row of a matrix.")] = 32,
    lean: Annotated[bool, typer.Option("--lean", help="Leave out parts that come with the library; they are taken from it again.")] = False,
) -> None:
    """Write a run's latest weights as one file, with how they were trained; --run, --start and tessera.load take it."""
    facts = training_facts(run, latest(run))
    used = [one["part"] for one in facts.get("parts", {}).values()] if lean else []
    save(load(run), out, bits=bits, notes=facts, parts=[part for part in used if (PARTS / f"{part}.safetensors").is_file()])
    say(f"{out}: {out.stat().st_size / 2**20:.1f} MB")


@app.command(epilog="Example: tessera tokenizer bpe.json")
def tokenizer(
    out: Annotated[Path, typer.Argument(help="The tokenizer.json to write.")],
    size: Annotated[int, typer.Option(min=1, help="How many ids, at most; bytes and markers are there in any case.")] = 1024,
    n: Annotated[int, typer.Option("-n", min=1, help="Documents of each task, level and language to learn from.")] = 1500,
) -> None:
    """Train a BPE on the world's texts, as the one that comes with the library was trained."""
    words = (text for level in LEVELS.values() for language in LANGUAGES for text in texts(World(level, language), n))
    made = train_bpe(words, size)
    made.save(str(out))
    say(f"{out}: {made.get_vocab_size()} ids")


@app.command(epilog="Example: tessera features features-32px.safetensors")
def features(
    out: Annotated[Path, typer.Argument(help="The weights file to write.")],
    steps: Annotated[int, typer.Option(min=1, help="Of 64 pictures.")] = 1200,
    seed: Seed = 0,
) -> None:
    """Train the features that sets of drawings are compared in, as those that come with the library were trained."""
    made = train_features(steps=steps, seed=seed)
    found = accuracy(made)
    facts = {"steps": steps, "seed": seed, "world": World.standard().hash(), "commit": commit(), "accuracy": found._asdict()}
    save_features(made, out, facts)
    say(f"{out}: names {found.things:.1%} of things, {found.places:.1%} of places and {found.pictures:.1%} of pictures rightly")
