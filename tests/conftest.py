"""What the tests share: shapes that are checked at every call, and a few small things.

Only functions that state shapes are checked so: plain types are mypy's, and checking them at every call takes longer than all else. Scenes
of the world are drawn by millions of small calls; there mypy has to do, and where a test simulates and is marked so.
"""

import ast
import re
from pathlib import Path

import pytest
import torch
from jaxtyping import _import_hook, config, install_import_hook

PACKAGE = Path(__file__).parent.parent / "src" / "tessera"
SHAPED = {file: text for file in PACKAGE.rglob("*.py") if "jaxtyping" in (text := file.read_text()) and "world" not in file.parts}
SHAPES = {"Bool", "Float", "Int", "Shaped", "UInt8"}
SHAPES |= {name for text in SHAPED.values() for name in re.findall(rf"^(\w+) = (?:{'|'.join(SHAPES)})\[", text, re.MULTILINE)}


class Stating(_import_hook.JaxtypingTransformer):
    """The hook's way through a module, past the functions that state no shape."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        noted = [node.returns, *(one.annotation for one in ast.walk(node.args) if isinstance(one, ast.arg))]
        words = {name.id for one in noted if one for name in ast.walk(one) if isinstance(name, ast.Name)}
        return super().visit_FunctionDef(node) if words & SHAPES else self.generic_visit(node)


_import_hook.JaxtypingTransformer = Stating
install_import_hook([".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in SHAPED], "beartype.beartype")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tiny tensors are faster on one thread, and sums then have one order."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _types(request):
    """Types are checked but where a test simulates."""
    config.update("jaxtyping_disable", request.node.get_closest_marker("simulates") is not None)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_path, monkeypatch):
    """What a test trains is kept in a folder of its own."""
    monkeypatch.setenv("TESSERA_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _seeded():
    """Modules start from the global generator; every test starts it at the same place."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def places():
    """Makes Places from the facts that matter, each a list (one row) or a list of rows; order counts up unless given."""
    from tessera.places import FIELDS, Places, View  # behind the hook

    def make(**facts):
        given = {name: torch.atleast_2d(torch.tensor(values)) for name, values in facts.items()}
        shape = next(iter(given.values())).shape
        usual = {"order": torch.arange(shape[1]).expand(shape), "writes": torch.full(shape, -1), "view": torch.full(shape, View.PUBLIC)}
        return Places(torch.stack([given.get(name, usual.get(name, torch.zeros(shape, dtype=torch.long))) for name in FIELDS]))

    return make


@pytest.fixture(scope="session")
def tiny():
    """Builds a chameleon that runs in milliseconds: pictures of 8 x 8 pixels as 2 x 2 codes of 9."""
    from tessera.systems.chameleon import chameleon

    def build(**changes):
        return chameleon(**{"width": 16, "depth": 2, "heads": 2, "levels": (3, 3), "channels": 8, "pixels": 8, "stride": 4, **changes})

    return build


@pytest.fixture
def pictures():
    """Four pictures of 8 x 8 random pixels."""
    return torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
