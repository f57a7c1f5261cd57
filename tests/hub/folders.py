"""Small folders of every published system that is loaded: as transformers' classes write them, and of fixtures under official names."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from hub import test_chameleon, test_emu3, test_janus, test_llama, test_llava, test_llava_next
from hub.oracle import redrawn, saved, transformers

CLASSES = {
    "llama": (transformers.LlamaForCausalLM, test_llama.CONFIGS["llama"], ()),
    "mistral": (transformers.MistralForCausalLM, test_llama.CONFIGS["mistral"], ()),
    "qwen2": (transformers.Qwen2ForCausalLM, test_llama.CONFIGS["qwen2"], ()),
    "qwen3": (transformers.Qwen3ForCausalLM, test_llama.CONFIGS["qwen3"], ()),
    "llava": (transformers.LlavaForConditionalGeneration, test_llava.CONFIGS["1.5"], ()),
    "llava_next": (transformers.LlavaNextForConditionalGeneration, test_llava_next.CONFIGS["1.6"], ("<image>",)),
    "janus": (transformers.JanusForConditionalGeneration, test_janus.CONFIGS["Janus"], ("<begin_of_image>", "<end_of_image>")),
    "emu3": (transformers.Emu3ForConditionalGeneration, lambda: test_emu3.CONFIGS["Emu3"][0](), test_emu3.SPECIAL),
    "chameleon": (transformers.ChameleonForConditionalGeneration, test_chameleon.CONFIGS["7B"], test_chameleon.SPECIAL),
}
"""A class, a configuration, and special tokens."""
OFFICIAL = ("janus_vq", "show_o", "show_o_looking", "orthus", "omnimamba", "metamorph", "janusflow", "monoformer", "d_dit")
"""Systems whose official code is not at hand; hub/test_NAME.py writes their folders."""
SMALL = {"min_pixels": 64, "max_pixels": 64}  # what Emu3 draws


def of_class(name: str, folder: Path):
    """A class with weights drawn anew, and the folder that it writes."""
    kind, config, special = CLASSES[name]
    made = redrawn(kind(config()))
    saved(made, folder, special=special)
    (folder / "preprocessor_config.json").write_text(json.dumps(SMALL))
    return made, folder


def official(name: str, folder: Path, patched: pytest.MonkeyPatch) -> Path:
    """A folder of the weights of a fixture."""
    module = import_module(f"hub.test_{name}")
    getattr(module, "small", lambda _: None)(patched)
    return module.official(folder)


def any_of(name: str, folder: Path, patched: pytest.MonkeyPatch) -> Path:
    """A folder of any kind."""
    return official(name, folder, patched) if name in OFFICIAL else of_class(name, folder)[1]
