"""Systems written back into the folders they came from, which transformers' classes load again."""

import json

import pytest
import torch
from hub import test_chameleon, test_janus, test_llama, test_llava, test_speaking
from hub.oracle import ids_of, near, redrawn, saved, states, transformers
from hub.test_loading import shard
from safetensors.torch import load_file

from tessera.hub import export_published, load_published

KINDS = {
    "llama": (transformers.LlamaForCausalLM, test_llama.CONFIGS["llama"], ()),
    "qwen3": (transformers.Qwen3ForCausalLM, test_llama.CONFIGS["qwen3"], ()),
    "llava": (transformers.LlavaForConditionalGeneration, test_llava.CONFIGS["1.5"], ()),
    "janus": (transformers.JanusForConditionalGeneration, test_janus.CONFIGS["Janus"], ("<begin_of_image>", "<end_of_image>")),
    "chameleon": (transformers.ChameleonForConditionalGeneration, test_chameleon.CONFIGS["30B: swin, grouped"], test_chameleon.SPECIAL),
}


@pytest.fixture(params=KINDS)
def published(request, tmp_path):
    """A class, and its folder."""
    kind, config, special = KINDS[request.param]
    made = redrawn(kind(config()))
    return kind, made, saved(made, tmp_path / "published", special=special)


def same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_folder_comes_back_as_it_was(published, tmp_path):
    kind, made, folder = published
    (file,) = export_published(load_published(folder), tmp_path / "back")
    same(load_file(folder / "model.safetensors"), load_file(file))
    again = kind.from_pretrained(tmp_path / "back").eval()
    same(made.state_dict(), again.state_dict())
    assert {f.name for f in folder.iterdir()} == {f.name for f in (tmp_path / "back").iterdir()}


def test_what_has_changed_is_what_the_class_then_says(published, tmp_path):
    kind, made, folder = published
    system = load_published(folder)
    rng = torch.Generator().manual_seed(9)
    for parameter in system.trunk.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=rng)
    export_published(system, tmp_path / "back")
    again, ids = kind.from_pretrained(tmp_path / "back").eval(), torch.tensor([ids_of(system, test_llama.SAID, list)])
    with torch.no_grad():
        before, after = (one(input_ids=ids).logits[0] for one in (made, again))
    said, allowed = system.text.writer(states(system, test_llama.SAID)), system.text.law.allowed
    assert near(said[:, allowed], after[:, allowed]) and not near(said[:, allowed], before[:, allowed], 1e-2)
    same(dict(system.state_dict()), dict(load_published(tmp_path / "back").state_dict()))


def test_shards_stay_shards_and_another_precision_is_stated(published, tmp_path):
    kind, made, folder = published
    shard(folder, load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    files = export_published(load_published(folder, precision="bfloat16"), tmp_path / "back")
    assert len(files) == 3 and json.loads((tmp_path / "back" / "config.json").read_text())["dtype"] == "bfloat16"
    again = kind.from_pretrained(tmp_path / "back")
    same({name: tensor.bfloat16() for name, tensor in made.state_dict().items()}, again.state_dict())


@pytest.mark.parametrize("name", test_speaking.SYSTEMS)
@pytest.mark.parametrize("language", ["llama", "qwen3"])
def test_the_language_model_that_a_recipe_began_with_comes_back(language, name, tmp_path):
    kind, config, _ = KINDS[language]
    made = redrawn(kind(config()))
    folder = saved(made, tmp_path / "published")
    system = test_speaking.built(name, folder)
    rng = torch.Generator().manual_seed(9)
    for parameter in (*system.trunk.parameters(), *system.text.parameters()):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=rng)
    export_published(system, tmp_path / "back")
    again, ids = kind.from_pretrained(tmp_path / "back").eval(), torch.tensor([ids_of(system, test_llama.SAID, list)])
    with torch.no_grad():
        before, after = (one(input_ids=ids).logits[0] for one in (made, again))
    said = system.text.writer(states(system, test_llama.SAID))[:, : made.config.vocab_size]
    assert near(said, after) and not near(said, before, 1e-2)
    assert {f.name for f in folder.iterdir()} == {f.name for f in (tmp_path / "back").iterdir()}


def test_what_came_from_elsewhere_or_goes_over_something_is_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match="export: chameleon was built by 'nobody'; systems that were loaded with --hub"):
        export_published(tiny(), tmp_path / "out")
    theirs = redrawn(transformers.LlamaForCausalLM(test_llama.CONFIGS["llama"]()))
    system = load_published(saved(theirs, tmp_path / "llama"))
    with pytest.raises(ValueError, match="llama exists; a new folder is accepted"):
        export_published(system, tmp_path / "llama")
