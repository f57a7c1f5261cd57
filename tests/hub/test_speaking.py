"""Recipes that begin with a published language model: of texts they say what transformers' class says."""

import json

import pytest
import torch
from hub import test_llama
from hub.oracle import MUTATIONS, ids_of, near, redrawn, saved, states, transformers

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import published_speaker
from tessera.verbs.generate import generate
from tessera.verbs.optimizing import thaw
from tessera.verbs.recipes import build, part_of
from tessera.verbs.weights import load, save

SYSTEMS = ("lmfusion", "transfusion", "metamorph", "show_o")
SAID = Document((Text("a red circle and a blue star"), Text(" what is it?", learn=True)))
PICTURE = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


CONFIGS = {**test_llama.CONFIGS, "mistral, a window": test_llama.MORE["mistral, a window"]}


@pytest.fixture(scope="module", params=CONFIGS)
def published(request, tmp_path_factory):
    """A class, and its folder."""
    theirs = redrawn(transformers.AutoModelForCausalLM.from_config(CONFIGS[request.param]()))
    return theirs, saved(theirs, tmp_path_factory.mktemp("language"))


def built(name, folder, **options):
    arguments = {"language": part_of("tessera.hub:published_speaker", {"path": str(folder)})}
    return build(name, preset="tiny", arguments=arguments, **options).eval()


def first_tower(system):
    return getattr(system.trunk, "towers", [system.trunk])[0]


@pytest.mark.parametrize("name", SYSTEMS)
def test_of_a_text_it_says_what_the_class_says(name, published):
    theirs, folder = published
    system = built(name, folder)
    ids = torch.tensor([ids_of(system, SAID, list)])
    assert ids[0, 0] == 0 and ids[0, -1] == 3  # what the tokenizer puts in front, and what ends a turn
    found, size = states(system, SAID), theirs.config.vocab_size
    with torch.no_grad():
        assert near(found, theirs.model(ids).last_hidden_state[0])
        assert near(system.text.writer(found)[:, :size], theirs(ids).logits[0])


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_goes_on_greedily_as_the_class_does(name, published):
    theirs, folder = published
    system = built(name, folder)
    allowed, given = system.text.law.allowed.tolist(), torch.tensor([[0, *system.text.codec.encode(["a red"]).clean[0].tolist()]])
    said = theirs.generate(given, max_new_tokens=12, do_sample=False, prefix_allowed_tokens_fn=lambda batch, sent: allowed)
    written = generate(system, "a red", want=Text, longest=13)
    assert said[0, given.shape[1] :].tolist() == written.clean[-1].tolist()[:12]


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_with_a_mutated_trunk_it_does_not(mutation, name, published):
    theirs, folder = published
    system = built(name, folder)
    expected = theirs.model(torch.tensor([ids_of(system, SAID, list)])).last_hidden_state[0]
    mutation(system)
    assert not near(states(system, SAID), expected, 1e-2)


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_reads_draws_and_learns_pictures_from_there(name, published):
    _, folder = published
    system = built(name, folder)
    documents = [
        Document((Text("a red"), Image(PICTURE, learn=True))),
        Document((Image(PICTURE), Text("what?"), Text("a star", learn=True))),
    ]
    thaw(system, system.stages[-1])
    losses = system.losses(documents, [Draw(0), Draw(1)])
    sum(total for total, _ in losses.values()).backward()
    assert set(losses) == {"text", "image"} and all(total.isfinite() and count for total, count in losses.values())
    system.eval()
    assert generate(system, "a red", want=Image, seed=1).pictures[0].shape == (3, 32, 32)
    assert system.markers.begin_image != system.markers.end_image


def test_both_towers_of_lmfusion_are_copies_and_the_first_never_moves(published):
    _, folder = published
    system = built("lmfusion", folder)
    words, pictures = (tower.state_dict() for tower in system.trunk.towers)
    assert all(torch.equal(words[name], pictures[name]) and words[name] is not pictures[name] for name in words)
    assert [stage.name for stage in system.stages] == ["latents", "joint", "tuned"]
    for stage in system.stages[1:]:
        thaw(system, stage)
        assert not any(p.requires_grad for p in (*system.trunk.towers[0].parameters(), *system.text.parameters()))


def test_what_has_learned_to_speak_needs_no_stage_for_it(published):
    _, folder = published
    assert "language" in [stage.name for stage in build("metamorph", preset="tiny").stages]
    assert "language" not in [stage.name for stage in built("metamorph", folder).stages]


def test_ids_that_are_new_are_drawn_like_those_that_are_there(published):
    theirs, folder = published
    with torch.random.fork_rng():
        torch.manual_seed(0)
        speaks = published_speaker(folder)
        more = speaks.extended(1000)
    size, old = theirs.config.vocab_size, theirs.get_input_embeddings().weight
    assert speaks.size == size + 2 and speaks.codec.markers[1:3] == ((size,), (size + 1,)) and speaks.allowed.max() < size
    assert torch.equal(more.reader.table.weight[:size], old) and torch.equal(more.writer.out.weight[:size], theirs.lm_head.weight)
    assert abs(float(more.reader.table.weight[size:].detach().std() / old.std()) - 1) < 0.05
    assert (len(more.parts) == 1) == theirs.config.tie_word_embeddings == (more.writer.out.weight is more.reader.table.weight)


def test_a_run_is_loaded_again_by_what_it_was_built_from(published, tmp_path):
    _, folder = published
    system = built("show_o", folder)
    assert system.origin["arguments"]["language"] == part_of("tessera.hub:published_speaker", {"path": str(folder)})
    save(system, tmp_path / "mine.safetensors")
    again = load(tmp_path / "mine.safetensors", device="cpu")
    assert torch.equal(states(again, SAID), states(system, SAID)) and json.dumps(again.origin) == json.dumps(system.origin)


def test_recipes_without_a_place_for_it_and_plain_words_are_refused(published):
    _, folder = published
    with pytest.raises(ValueError, match="chameleon: argument language="):
        built("chameleon", folder)
    with pytest.raises(ValueError, match="transfusion: argument language='llama'; accepted are, by default"):
        build("transfusion", arguments={"language": "llama"})
