"""Commands that score a system on files of one's own: one for each format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from torch import Tensor

from tessera.cli.app import (
    Denoising,
    Device,
    Guidance,
    LevelName,
    Longest,
    Nats,
    RunFolder,
    Seed,
    Steps,
    Temperature,
    TopK,
    TopP,
    Trained,
    app,
    going_on_from,
    how_trained,
    picture_side,
    progress,
    sampling_of_pictures,
    say,
    ticker,
    trained,
)
from tessera.cli.scoring import Place, show_differences
from tessera.data.benchmarks import read_coco, read_geneval, read_pope, read_questions, read_vqa, write_geneval
from tessera.data.rows import BadRow
from tessera.document import Segment
from tessera.exams.files import ChairFile, GenEvalFile, PopeFile, QuestionsFile, VqaFile
from tessera.laws.base import Sampling
from tessera.scoring.answers import CONVENTIONS
from tessera.scoring.hallucination import load_synonyms, with_coco_phrases
from tessera.system import System
from tessera.verbs.answers import Answers, named_after
from tessera.verbs.benchmark import SCHEMA, Files, about_files, asked_of_files, benchmark_results, sha256
from tessera.verbs.compare import alike
from tessera.verbs.evaluate import Plan, answered
from tessera.verbs.results import read_results

benchmark = typer.Typer(
    no_args_is_help=True,
    help="Score a system on files of your own, in the formats of the field. "
    "What it wrote is kept in OUT/answers: a stopped benchmark goes on where it was, and may be judged in another way.",
    epilog="Example: tessera benchmark pope coco_pope_random.json --images val2014",
)
app.add_typer(benchmark, name="benchmark")

Images = Annotated[Path | None, typer.Option(help="The folder that pictures' names are relative to; by default the file's.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out, and list them at the end.")]
Against = Annotated[Path | None, typer.Option(help="Other results (.json) on the same files: differences case by case, with intervals.")]
Out = Annotated[Path | None, typer.Option(help="Folder for results and answers; by default benchmarks, or of a run RUN/benchmarks.")]


@dataclass(frozen=True, eq=False)
class Sitting:
    """A system that is asked, how it writes, and the folder for what comes of it."""

    system: System
    name: str
    out: Path
    training: Mapping[str, Any]
    seed: int
    longest: int
    sampling: Mapping[type[Segment], Sampling]

    @property
    def pixels(self) -> int:
        return picture_side(self.system)

    def take(self, files: Files, variant: str = "", against: Path | None = None) -> tuple[str, list]:
        """Ask what is not answered yet, save results and show scores: the answers, behind a name that no others have.

        `variant` is added to the name of results that judge the same answers in another way. Differences from the results
        `against` are shown too; those of something else are refused before anything is asked.
        """
        other = read_results(against, SCHEMA) if against else None
        plan = Plan(cases={}, pictures=0, seed=self.seed, sampling=self.sampling)
        about = about_files(self.system, files, plan, self.longest)
        if other is not None:
            alike(other, asked_of_files(files, about))
        asked = f"{self.name}-{files.exam.name}-{files.paths[0].stem}"
        own = named_after(asked, about)
        folder = self.out / "answers" / own
        kept = Answers(folder, about)
        with progress() as bars, going_on_from(folder):
            answers = answered(self.system, files.exam, plan, kept, ticker(bars), longest=self.longest)
        report = files.exam.report(answers)
        found = benchmark_results(self.system, files, about, report, training=self.training)
        Place(self.out, asked + variant).save(found, report)
        say_bad(files.rows.bad)
        if other is not None:
            show_differences(other, found, str(against))
        return own, answers


def say_bad(rows: Sequence[BadRow]) -> None:
    """The rows that were left out, if there are any."""
    if rows:
        say("\n".join([f"{len(rows)} bad rows were left out:", *(f"  {row}" for row in rows)]))


def sitting(
    system: str, run: Path | None, level: str, out: Path | None, seed: int, device: str, *, longest: int = 64, asked: Mapping[str, Any] = {}
) -> Sitting:
    """The system of these options. `asked` is what was asked for in place of its usual sampling of pictures."""
    loaded = trained(system, run, level, device)
    folder = run if run and run.is_dir() else None
    training = how_trained(system, run, level)
    name = loaded.name if run or level == "easy" else f"{loaded.name}-{level}"
    sampling = sampling_of_pictures(loaded, asked)
    return Sitting(loaded, name, out or (folder or Path()) / "benchmarks", training, seed, longest, sampling)


@benchmark.command("pope", epilog="Example: tessera benchmark pope coco_pope_random.json --images val2014 --convention official")
def pope_command(
    file: Annotated[Path, typer.Argument(help="Questions: lines of question_id, image, text and label.")],
    images: Images = None,
    convention: Annotated[str, typer.Option(help=f"How answers are read: {', '.join(CONVENTIONS)}.")] = "strict",
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    out: Out = None,
    skip_bad: SkipBad = False,
    longest: Longest = 64,
    seed: Seed = 0,
    against: Against = None,
    device: Device = "auto",
) -> None:
    """POPE, yes or no about objects: accuracy, precision, recall, F1, yes ratio, and what was neither."""
    rows = read_pope(file, images, skip_bad=skip_bad)
    sat = sitting(system, run, level, out, seed, device, longest=longest)
    exam = PopeFile(rows.items, sat.pixels, convention)
    sat.take(Files(exam, (file,), rows, {"convention": convention}), "" if convention == "strict" else f"-{convention}", against)


@benchmark.command("vqa", epilog="Example: tessera benchmark vqa questions.json annotations.json --images val2014")
def vqa_command(
    questions: Annotated[Path, typer.Argument(help="VQAv2's questions (.json).")],
    annotations: Annotated[Path, typer.Argument(help="VQAv2's annotations (.json), with ten answers to each question.")],
    images: Images = None,
    pictures: Annotated[str, typer.Option(help="What the picture of an image id is called.")] = "COCO_val2014_{:012d}.jpg",
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    out: Out = None,
    skip_bad: SkipBad = False,
    longest: Longest = 64,
    seed: Seed = 0,
    against: Against = None,
    device: Device = "auto",
) -> None:
    """VQAv2, questions with ten people's answers: the soft accuracy, over all and by type of answer."""
    rows = read_vqa(questions, annotations, images or questions.parent, name=pictures, skip_bad=skip_bad)
    sat = sitting(system, run, level, out, seed, device, longest=longest)
    sat.take(Files(VqaFile(rows.items, sat.pixels), (questions, annotations), rows), against=against)


@benchmark.command("questions", epilog="Example: tessera benchmark questions llava.json")
def questions_command(
    file: Annotated[Path, typer.Argument(help="Questions with an answer each, in LLaVA's format (.json or .jsonl).")],
    images: Images = None,
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    out: Out = None,
    skip_bad: SkipBad = False,
    longest: Longest = 64,
    seed: Seed = 0,
    against: Against = None,
    device: Device = "auto",
) -> None:
    """Questions with one answer each: the share that is exact, and that is by GQA's rule."""
    rows = read_questions(file, images, skip_bad=skip_bad)
    sat = sitting(system, run, level, out, seed, device, longest=longest)
    sat.take(Files(QuestionsFile(rows.items, sat.pixels), (file,), rows), against=against)


@benchmark.command(
    "chair",
    epilog="Example: tessera benchmark chair --captions captions.json --instances instances.json --images val2014 --synonyms synonyms.txt",
)
def chair_command(
    synonyms: Annotated[Path, typer.Option(help="Which words name which object: a line each, names between commas, the object's first.")],
    captions: Annotated[Path | None, typer.Option(help="COCO's captions (.json).")] = None,
    instances: Annotated[Path | None, typer.Option(help="COCO's instances (.json); one of the two, or, as CHAIR has it, both.")] = None,
    images: Images = None,
    coco_phrases: Annotated[bool, typer.Option("--coco-phrases", help="CHAIR's phrases for COCO too: a toilet seat is no chair.")] = False,
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    out: Out = None,
    skip_bad: SkipBad = False,
    longest: Longest = 64,
    seed: Seed = 0,
    against: Against = None,
    device: Device = "auto",
) -> None:
    """CHAIR, captions of COCO's pictures: the objects they name that are not there, beside recall and length."""
    table: Mapping[str, str | None] = load_synonyms(synonyms)
    table = with_coco_phrases(table) if coco_phrases else table
    paths = tuple(path for path in (captions, instances) if path)
    rows = read_coco(images or (paths[0].parent if paths else Path()), captions=captions, instances=instances, skip_bad=skip_bad)
    sat = sitting(system, run, level, out, seed, device, longest=longest)
    exam = ChairFile(rows.items, sat.pixels, table)
    judged_by = {"synonyms": {"name": synonyms.name, "sha256": sha256(synonyms)}, "coco_phrases": coco_phrases}
    sat.take(Files(exam, paths, rows, judged_by), against=against)


@benchmark.command("geneval", epilog="Example: tessera benchmark geneval evaluation_metadata.jsonl --samples 4")
def geneval_command(
    file: Annotated[Path, typer.Argument(help="GenEval's prompts (.jsonl).")],
    samples: Annotated[int, typer.Option(help="Pictures of each prompt.")] = 4,
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    out: Out = None,
    skip_bad: SkipBad = False,
    guidance: Guidance = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    steps: Steps = None,
    denoising: Denoising = None,
    nats: Nats = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """GenEval's prompts, drawn into the folders that its own detector scores; no score is given here."""
    rows = read_geneval(file, skip_bad=skip_bad)
    exam = GenEvalFile(rows.items, samples)
    asked = dict(guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p, steps=steps, denoising=denoising, nats=nats)
    sat = sitting(system, run, level, out, seed, device, asked=asked)
    own, pictures = sat.take(Files(exam, (file,), rows, {"samples": samples}))
    folder = sat.out / "pictures" / own
    lay_out(folder, exam, pictures)
    say(f"{len(rows)} prompts, {samples} pictures of each, are in {folder}; GenEval's own detector scores them:")
    say(f"  python evaluation/evaluate_images.py {folder} --outfile results.jsonl --model-path MODELS")


def lay_out(folder: Path, exam: GenEvalFile, pictures: Sequence[Tensor]) -> None:
    """GenEval's folders, whole or not at all; those that are there already hold the same, as their name says."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as unfinished:
        drawn = Path(unfinished) / folder.name
        write_geneval(drawn, exam.items, exam.drawn(pictures))
        drawn.rename(folder)
