import io

import pytest
from rich.console import Console

from tessera.document import Document, Image, Text
from tessera.systems.show_o import show_o
from tessera.verbs.describe import describe, describe_document, parse_document
from tessera.world import World


def shown(renderable) -> str:
    page = io.StringIO()
    Console(width=140, file=page).print(renderable)
    return page.getvalue()


def test_a_document_is_read_from_words():
    document = parse_document("a red circle / image* / yes*", World.easy())
    assert [(type(s), s.learn) for s in document] == [(Text, False), (Image, True), (Text, True)]
    assert document[0].content == "a red circle" and document[1].content.shape == (3, 32, 32)
    with pytest.raises(ValueError, match=r"describe: document '  '; accepted are text and pictures"):
        parse_document("  ", World.easy())


def test_every_part_of_every_port_is_named(tiny):
    said = shown(describe(tiny()))
    parts = ("BPE", "Shifted(Autoencoder(FSQ))", "TokenReader", "LinearWriter", "Next", "Categorical", "Transformer, ", "stage joint")
    for name in parts:
        assert name in said, name


def test_every_place_is_listed_with_what_it_predicts_and_whom_it_sees(tiny, pictures):
    system = tiny()
    said = shown(describe_document(system, Document((Text("red"), Image(pictures[0], learn=True)))))
    count = int(said.split(" places")[0].split()[-1])
    rows = [line for line in said.splitlines() if line.startswith("│")]
    assert len(rows) == count
    (begin,) = (line for line in rows if "'<image>'" in line)
    first = next(line for line in rows if "image*" in line)
    code = first.split("code ")[1].split()[0]
    assert f"image code {code}" in begin  # the marker in front of the picture predicts its first code
    mask = [line.split()[1] for line in said.splitlines() if line.strip()[:1].isdigit() and ("█" in line)]
    assert len(mask) == count and all(line == "█" * (i + 1) + "·" * (count - i - 1) for i, line in enumerate(mask))


def test_what_is_hidden_is_not_shown_as_a_code(pictures):
    system = show_o(width=16, depth=1, heads=2, levels=(3, 3), channels=8, pixels=8, stride=4)
    said = shown(describe_document(system, Document((Text("red"), Image(pictures[0], learn=True)))))
    rows = [line for line in said.splitlines() if "image*" in line]
    hidden = ["(hidden)" in line for line in rows]
    assert len(rows) == 4 and any(hidden)
    assert all(("image code" in line) == concealed for line, concealed in zip(rows, hidden, strict=True))  # it is what is predicted
