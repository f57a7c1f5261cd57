"""Language models alone, as they were published: Llama, Mistral, Qwen2, Qwen3."""

from collections.abc import Mapping

from tessera.hub.blueprint import Blueprint
from tessera.hub.folder import Folder
from tessera.hub.language import TURNS, language, named, settings, text_port, tied
from tessera.hub.manners import Published, chat
from tessera.hub.markers import markers
from tessera.hub.tensors import Stored
from tessera.system import System

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"  # a model that was not taught to chat goes on with a text


def llama(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`LlamaForCausalLM` and its kin: a system that reads and writes text."""
    said = settings(folder.config)
    speaker = language(said, tied=tied(folder.config, said, weights, "lm_head"))
    text = text_port(folder, speaker, markers(folder, said))
    system = System("llama", trunk=speaker.trunk, ports=(text,), attention=speaker.looks)
    manners = Published(chat(folder, TEMPLATE), lambda picture: picture)
    return Blueprint(system, named(model="model", head="lm_head"), TURNS, manners=manners)
