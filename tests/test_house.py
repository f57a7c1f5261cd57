"""The house rules: promises about size, layers and names, kept by tests."""

import ast
import importlib
import json
import re
import sys
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
from jaxtyping import TypeCheckError

from tessera.codecs.patches import patchify
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.shapes import LEGEND
from tessera.verbs.describe import PLACES, page
from tessera.verbs.generate import generate
from tessera.verbs.muon import orthogonal
from tessera.verbs.recipes import build, names
from tessera.verbs.weights import find, metadata, shipped

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "tessera"
FILES = sorted(SOURCE.rglob("*.py"))
OWN, OVERFITTED = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own.md").read_text(), re.DOTALL)

# Imports go down only. Folders and files by layer; what is named first wins.
LAYERS = {
    0: (
        "document",
        "places",
        "attention",
        "shapes",
        "paths",
        "bound",
        "draws",
        "grouping",
        "intervals",
        "precision",
        "manners",
        "weightless",
        "dryrun",
    ),
    1: ("clocks", "codecs", "perceptron", "vision", "unets", "readers", "writers", "trunk", "orders", "laws"),
    2: ("ports", "pieces", "drops", "stages", "contrast", "parts", "extras", "speaker", "system"),
    3: ("world", "data", "scoring", "exams", "verbs", "hub", "systems"),
    4: ("cli", "lmms_eval", "__init__", "__main__"),
}
LAYER = {name: number for number, names in LAYERS.items() for name in names}
# Inside layer 3: who may import whom.
WITHIN = {
    "world": {"world"},
    "data": {"data", "world"},
    "scoring": {"scoring"},
    "systems": {"data"},
    "hub": {"hub", "systems"},
    "exams": {"exams", "world", "scoring", "data"},
    "verbs": {"verbs", "world", "data", "scoring", "exams", "systems"},
}
VERBS = [
    *("whole", "events", "writing", "passes", "generate", "recipes", "machine", "packing", "weights", "adapters", "checkpoint", "runs"),
    *("suites", "answers"),
    *("likelihood", "ladder", "evaluate"),
    *("glance", "page", "results", "keeping", "tables", "benchmark", "distance", "compare"),
    *("muon", "optimizing", "recomputing", "loader", "memory", "estimate", "stepping", "progress", "parts", "train", "contest", "describe"),
]


def room(path: Path) -> str:
    """The folder or file right below the package that a source file belongs to."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


@cache
def tree_of(path: Path) -> ast.Module:
    """A file, parsed once."""
    return ast.parse(path.read_text())


def imported(tree: ast.Module) -> list[tuple[str, ...]]:
    """Modules of ours that a file imports, as parts behind `tessera`."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tessera":
            base = node.module.split(".")[1:]
            names += [tuple(base)] if base else [(alias.name,) for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [tuple(a.name.split(".")[1:]) for a in node.names if a.name.split(".")[0] == "tessera"]
    return [name for name in names if name]


def functions(tree: ast.Module):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_sizes(path):
    tree, lines = tree_of(path), path.read_text().splitlines()
    recipe = room(path) == "systems" and path.name != "__init__.py"
    assert len(lines) <= (80 if recipe else 400), f"{path.name}: {len(lines)} lines"
    assert max(map(len, lines), default=0) <= 140
    for function in functions(tree):
        size = function.end_lineno - function.lineno + 1
        assert size <= 60, f"{path.name}: {function.name} has {size} lines"
        arguments = function.args
        count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
        own = bool(arguments.args) and arguments.args[0].arg in ("self", "cls")
        command = room(path) == "cli" and function.decorator_list  # a command's parameters are the options it offers
        assert command or count - own <= 8, f"{path.name}: {function.name} has {count - own} parameters"
        assert function.name.startswith("_") or arguments.kwarg is None, f"{path.name}: {function.name} takes **{arguments.kwarg}"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_test_files_are_small(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_layers(path):
    mine = room(path)
    assert mine in LAYER, f"{mine} belongs to no layer"
    for parts in imported(tree_of(path)):
        other = parts[0] if parts[0] in LAYER else "__init__"
        assert LAYER[other] <= LAYER[mine], f"{path.relative_to(SOURCE)} imports {'.'.join(parts)}, which is above it"
        if LAYER[mine] == 3 == LAYER[other]:
            assert other in WITHIN[mine], f"{path.relative_to(SOURCE)} imports {'.'.join(parts)}"
        if mine == other == "verbs" and len(parts) > 1:
            assert VERBS.index(parts[1]) < VERBS.index(path.stem), f"verbs/{path.stem} imports {parts[1]}, which comes after it"


def test_no_cycles():
    name = lambda path: path.relative_to(SOURCE).with_suffix("").parts
    modules = {name(path)[:-1] if path.name == "__init__.py" else name(path): path for path in FILES}
    graph = {key: {m for m in imported(tree_of(path)) if m in modules and m != key} for key, path in modules.items()}
    done: set = set()

    def visit(key, trail):
        assert key not in trail, f"a cycle: {[*trail, key]}"
        if key not in done:
            for other in graph[key]:
                visit(other, (*trail, key))
            done.add(key)

    for key in graph:
        visit(key, ())


def test_inheritance_is_one_deep():
    ours = {node.name for tree in map(tree_of, FILES) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in ours and base.id != node.name]
                assert not bases, f"{path.name}: {node.name} inherits {bases}"


@pytest.mark.parametrize("path", sorted((ROOT / "bench").glob("*.py")), ids=lambda path: path.name)
def test_what_benches_take_from_the_library_is_there(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tessera":
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), f"{path.name} imports from {node.module} what is not there"


def test_public_things_have_docstrings():
    for path in FILES:
        tree = tree_of(path)
        assert ast.get_docstring(tree), f"{path} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def test_one_legend_of_dimensions():
    pattern = re.compile(r"\b(?:Float|Int|Bool|UInt8|Shaped)\[(?:Tensor|np\.ndarray), \"([^\"]*)\"")
    for path in FILES:
        for shape in pattern.findall(path.read_text()):
            for word in shape.split():
                word = word.lstrip("*#").split("=")[0]
                known = word in LEGEND or word.isdigit() or word in ("...", "axes", "answers", "pixels")
                assert known, f"{path.relative_to(SOURCE)}: dimension {word!r} of {shape!r} is not in shapes.LEGEND"


def test_verbs_name_no_system():
    names = [path.stem for path in (SOURCE / "systems").glob("*.py") if path.stem != "__init__"]
    for path in FILES:
        if room(path) == "verbs":
            strings = [n.value for n in ast.walk(tree_of(path)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            assert not set(strings) & set(names), f"{path.name} names a system"


def test_readme_is_short_and_its_code_runs(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__readme__"})


def test_the_system_of_ones_own_in_the_docs_reads_draws_and_learns():
    names = {"__name__": "lab"}
    exec(compile(OWN, "own.md", "exec"), names)
    system = names["two_heads"](width=32, depth=1, heads=2)
    (picture,) = generate(system, "a red circle", want=Image).pictures
    assert picture.shape == (3, 32, 32)
    losses = system.losses([Document((Text("a red circle"), Image(picture, learn=True)))], [Draw(0)])
    assert losses["image"][1] == 16 and losses["image"][0].requires_grad


def test_the_system_of_ones_own_overfits_a_batch_as_the_docs_say(monkeypatch):
    lab = ModuleType("lab")
    exec(compile(OWN, "own.md", "exec"), lab.__dict__)
    lab.two_heads = partial(lab.two_heads, width=64, depth=2)
    monkeypatch.setitem(sys.modules, "lab", lab)
    names: dict = {"print": lambda means: names.update(ended=means)}
    exec(compile(OVERFITTED, "own.md", "exec"), names)
    assert max(names["ended"].values()) < 2


def test_what_is_published_names_no_folder_of_a_machine():
    told = {path: path.read_text() for path in (ROOT / "results").rglob("*.*") if path.suffix in (".json", ".md", ".html")}
    told |= {path: json.dumps(metadata(path)) for name, level in shipped() for path in [find(name, level=level)]}
    assert [path for path, text in told.items() if re.search(r'(?:"|&quot;)/\w', text)] == []


@pytest.mark.parametrize("name", names())
def test_every_system_has_a_page_and_it_says_what_the_recipe_says(name):
    text = (ROOT / "docs" / "systems" / f"{name}.md").read_text()
    assert text.partition(PLACES)[0] == page(name).partition(PLACES)[0], f"tessera describe {name} --page docs/systems/{name}.md"
    assert f"systems/{name}.md" in (ROOT / "mkdocs.yml").read_text()


def test_readme_table_equals_results():
    from tessera.verbs.tables import readme_table

    text = (ROOT / "README.md").read_text()
    shown = text.split("<!-- results -->\n")[1].split("\n<!-- end -->")[0]
    assert shown == readme_table(ROOT / "results")
    assert any(json.loads(path.read_text())["schema"] for path in (ROOT / "results").glob("*.json"))


def test_the_core_needs_no_torchvision():
    assert "torchvision" not in sys.modules


@pytest.mark.parametrize("name", names())
def test_every_system_stands_in_its_cell_of_the_periodic_table(name):
    head, _, *rows = re.search(r"\| order .*?\n\n", (ROOT / "README.md").read_text(), re.DOTALL)[0].strip().splitlines()
    cells = lambda line: [cell.strip(" *") for cell in line.strip("|").split(" |")]
    found = {
        (cells(row)[0], law)
        for row in rows
        for law, cell in zip(cells(head)[1:], row.strip("|").split("|")[1:], strict=True)
        if f"**{name}**" in cell
    }
    drawn = [port for port in build(name, preset="tiny").ports if port.writes and port.kind is Image]
    assert found == {(type(port.order).__name__, type(port.law).__name__) for port in drawn}


@pytest.mark.parametrize("call", [lambda: patchify(torch.zeros(3, 8, 8), 4), lambda: orthogonal(torch.zeros(3))], ids=["named", "alias"])
def test_shapes_are_checked_at_every_call(call):
    with pytest.raises(TypeCheckError):
        call()
