"""Folders that are as they should be, and folders that are not: of these nothing is loaded, and an error says what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub.oracle import write_tokenizer
from safetensors.torch import load_file, save_file
from torch import nn

from tessera.document import Text
from tessera.hub import load_published
from tessera.hub.filling import fill, filled
from tessera.hub.names import Part, Row, shaped, table
from tessera.hub.tensors import InMemory
from tessera.verbs.generate import generate

CONFIG = {
    "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 300,
    "bos_token_id": 0, "eos_token_id": 3,
}  # fmt: skip
LAYER = {
    "input_layernorm": (16,), "post_attention_layernorm": (16,), "mlp.gate_proj": (24, 16), "mlp.up_proj": (24, 16),
    "mlp.down_proj": (16, 24), **{f"self_attn.{name}_proj": (16, 16) for name in "qkvo"},
}  # fmt: skip
OUTER = {"model.embed_tokens.weight": (300, 16), "model.norm.weight": (16,), "lm_head.weight": (300, 16)}


def weights():
    shapes = OUTER | {f"model.layers.{i}.{name}.weight": shape for i in range(2) for name, shape in LAYER.items()}
    rng = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}


def shard(folder, tensors, count=3):
    """The tensors in so many files and their index."""
    names, files = sorted(tensors), [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]
    for i, file in enumerate(files):
        save_file({name: tensors[name] for name in names[i::count]}, folder / file)
    where = {name: files[i % count] for i, name in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


@pytest.fixture
def folder(tmp_path):
    """A language model in one file."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    write_tokenizer(tmp_path)
    save_file(weights(), tmp_path / "model.safetensors")
    return tmp_path


def changed(folder, change):
    """The folder with its tensors changed."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def numbers(system):
    return {name: tensor for name, tensor in system.state_dict().items()}


def same(one, other):
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- as they should be


def test_every_number_is_where_it_belongs(folder):
    system, published = load_published(folder), weights()
    q, k, v = system.trunk.blocks[1].attention.inner.qkv.weight.split(16)
    for ours, theirs in ((q, "q"), (k, "k"), (v, "v")):
        assert torch.equal(ours, published[f"model.layers.1.self_attn.{theirs}_proj.weight"])
    assert torch.equal(system.text.writer.out.weight, published["lm_head.weight"]) and not system.training
    assert sum(p.numel() for p in system.parameters()) == sum(tensor.numel() for tensor in published.values())
    assert len(generate(system, "a", want=Text, longest=4).texts) == 1


def test_shards_and_pickles_hold_the_same(folder):
    alone = numbers(load_published(folder))
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pickles \(pytorch_model.bin\), which may run code .*; convert them, or say --trust-pickle"):
        load_published(folder)
    same(numbers(load_published(folder, trust_pickle=True)), alone)
    shard(folder, tensors)
    same(numbers(load_published(folder)), alone)


def test_a_whole_file_is_read_where_older_shards_lie_beside_it(folder):
    """As published classes do: writing a model again in one file leaves shards and index behind."""
    alone = numbers(load_published(folder))
    shard(folder, {name: tensor + 1 for name, tensor in weights().items()})
    same(numbers(load_published(folder)), alone)


def test_of_pickles_those_are_read_that_hold_the_model(folder):
    alone, tensors = numbers(load_published(folder)), load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({"lr": 1e-3}, folder / "training_args.bin")
    names = sorted(tensors)
    for i in range(2):
        torch.save({name: tensors[name] for name in names[i::2]}, folder / f"pytorch_model-0000{i + 1}-of-00002.bin")
    same(numbers(load_published(folder, trust_pickle=True)), alone)
    torch.save({name: tensors[name] for name in names[:2]}, folder / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(ValueError, match=f"holds {names[0]}, which another pickle holds too; one of each is accepted"):
        load_published(folder, trust_pickle=True)
    torch.save(tensors, folder / "pytorch_model.bin")
    same(numbers(load_published(folder, trust_pickle=True)), alone)


def test_another_precision_is_that_of_every_parameter(folder):
    system, exact = load_published(folder, precision="bfloat16"), load_published(folder)
    same(numbers(system), {name: tensor.bfloat16() for name, tensor in numbers(exact).items()})
    with pytest.raises(ValueError, match="hub: precision 'int8'; float32, bfloat16, float16 are accepted"):
        load_published(folder, precision="int8")


def test_the_precision_of_a_file_is_that_of_most_of_its_numbers(folder):
    def halve(tensors):
        for name in tensors:
            tensors[name] = tensors[name] if "norm" in name else tensors[name].half()

    changed(folder, halve)
    assert {parameter.dtype for parameter in load_published(folder).parameters()} == {torch.float16}


def test_names_say_what_tensors_are_made_of():
    names = {"a.*.b.*": ["x.*.y", "z.*.y"], "a.*": "plain.*", "folded.weight": shaped("kernel")}
    found = table(["a.3.b.12.weight", "a.4.bias", "folded.weight", "a.5"], names)
    assert found["a.3.b.12.weight"].parts == (Part("x.3.y.weight"), Part("z.3.y.weight"))
    assert found["a.4.bias"].parts == (Part("plain.4.bias"),) and found["a.5"].parts == (Part("plain.5"),)
    assert found["folded.weight"] == Row((Part("kernel"),), shaped=True)
    with pytest.raises(KeyError, match=r"other.weight have no published name"):
        table(["other.weight"], names)


def test_rows_may_be_chosen_and_shapes_be_folded():
    linear, kernel = nn.Linear(12, 4), torch.randn(2, 3, 2, 2)
    order = torch.tensor([1, 0])
    names = {"weight": Row((Part("more", slice(2, 4)), Part("swapped", order))), "bias": shaped("b")}
    given = {"more": torch.randn(5, 12), "swapped": torch.randn(2, 12), "b": torch.randn(1, 4, 1)}
    filled(linear, names, given)
    assert torch.equal(linear.weight, torch.cat([given["more"][2:4], given["swapped"][order]])) and torch.equal(
        linear.bias, given["b"].flatten()
    )
    folded = filled(nn.Linear(12, 2, bias=False), {"weight": shaped("kernel")}, {"kernel": kernel})
    assert torch.equal(folded.weight, kernel.flatten(1))


# ---------------------------------------------------------------- as they should not be


def without(tensors):
    del tensors["model.layers.1.mlp.up_proj.weight"], tensors["model.norm.weight"]


def with_more(tensors):
    tensors["model.layers.0.self_attn.q_norm.weight"] = torch.ones(8)


def misshapen(tensors):
    tensors["model.layers.0.self_attn.k_proj.weight"] = torch.ones(8, 16)


def in_whole_numbers(tensors):
    tensors["model.layers.0.mlp.down_proj.weight"] = tensors["model.layers.0.mlp.down_proj.weight"].to(torch.int8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (in_whole_numbers, r"1 tensors are no floats: model.layers.0.mlp.down_proj.weight; nothing was loaded"),
        (without, r"2 tensors are missing: model.layers.1.mlp.up_proj.weight, model.norm.weight; nothing was loaded"),
        (with_more, r"1 tensors have no place: model.layers.0.self_attn.q_norm.weight; nothing"),
        (misshapen, r"1 tensors have another shape: model.layers.0.self_attn.q_proj.weight \[16, 16\] and .*k_proj.weight \[8, 16\] and"),
    ],
)
def test_tensors_without_a_partner_are_named(folder, change, said):
    changed(folder, change)
    with pytest.raises(ValueError, match=said):
        load_published(folder)


def test_nothing_is_loaded_where_one_tensor_does_not_fit():
    module, before = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), None
    before = [parameter.clone() for parameter in module.parameters()]
    given = {f"{i}.{kind}": torch.ones(2, 2) if kind == "weight" else torch.ones(2 + i) for i in range(2) for kind in ("weight", "bias")}
    with pytest.raises(ValueError, match=r"1.bias \[3\] where \[2\] is wanted"):
        fill(module, {"*": "*"}, {name: InMemory(tensor) for name, tensor in given.items()})
    assert all(torch.equal(now, then) for now, then in zip(module.parameters(), before, strict=True))


def test_a_file_that_is_cut_off_is_no_file(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors has [\d,]+ bytes where its head speaks of [\d,]+; .* fetch it again"):
        load_published(folder)
    for broken in (whole[:50], b"not a tensor in sight", b""):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=r"model.safetensors: .*; a safetensors file is accepted"):
            load_published(folder)


@pytest.mark.parametrize("moved", [-200, 4])
def test_tensors_of_a_file_stand_one_behind_the_other(folder, moved):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    said = json.loads(whole[8 : 8 + length])
    said["model.norm.weight"]["data_offsets"] = [place + moved for place in said["model.norm.weight"]["data_offsets"]]
    said = json.dumps(said, separators=(",", ":")).encode()
    file.write_bytes(len(said).to_bytes(8, "little") + said + whole[8 + length :])
    with pytest.raises(ValueError, match=r"begins at byte [\d,-]+; [\d,]+, where the last one ends, is accepted"):
        load_published(folder)


def test_shards_and_index_must_agree(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shard(folder, tensors)
    last = folder / "model-00003-of-00003.safetensors"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model-00003-of-00003.safetensors has"):
        load_published(folder)
    last.unlink()
    with pytest.raises(ValueError, match=r"lacks model-00003-of-00003.safetensors, which model.safetensors.index.json names"):
        load_published(folder)
    save_file({"lm_head.weight": tensors["lm_head.weight"]}, last)
    with pytest.raises(ValueError, match=r"disagree about lm_head.weight, model"):
        load_published(folder)
    for broken in ("{}", "[]", '{"weight_map": []}', '{"weight_map": {"lm_head.weight": 3}}', "[" * 100_000):
        (folder / "model.safetensors.index.json").write_text(broken)
        with pytest.raises(ValueError, match=r"index.json: .*; an index with a weight_map is accepted"):
            load_published(folder)


def test_each_part_of_a_joined_layer_has_its_own_rows(folder):
    """A gate too short beside an input too long have as many rows together."""
    tensors, at = weights(), "model.layers.0.mlp."
    changes = {f"{at}gate_proj.weight": torch.zeros(20, 16), f"{at}up_proj.weight": torch.zeros(28, 16)}
    save_file({**tensors, **changes}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 tensors have another shape: .*gate_proj.weight \[20, 16\] and .*up_proj.weight \[28, 16\]"):
        load_published(folder)


def test_an_index_names_files_of_its_own_folder(folder, tmp_path):
    outside = tmp_path.parent / "outside.safetensors"
    save_file(weights(), outside)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(weights(), "../outside.safetensors")}))
    with pytest.raises(ValueError, match=r"lacks ../outside.safetensors"):
        load_published(folder)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": None}, "holds no config.json, which is needed"),
        ({"config.json": "{"}, "config.json: .*; JSON is accepted"),
        ({"config.json": "[]"}, "config.json holds list; an object is accepted"),
        (
            {"config.json": json.dumps({**CONFIG, "model_type": "gpt2"})},
            "is of model_type 'gpt2'; there are llama, .*; choose a model of these",
        ),
        ({"config.json": json.dumps({**CONFIG, "hidden_act": "relu"})}, "asks for hidden_act 'relu'; silu, gelu, .* are accepted"),
        ({"config.json": json.dumps({**CONFIG, "rope_scaling": {"type": "dynamic"}})}, "rotary positions 'dynamic'; default, linear"),
        ({"config.json": json.dumps({**CONFIG, "rope_scaling": {"type": "yarn"}})}, "config.json, rope_parameters, says nothing of factor"),
        (
            {"config.json": json.dumps({**CONFIG, "quantization_config": {"bits": 8}})},
            "holds quantized weights .*; plain ones are accepted",
        ),
        ({"config.json": "[" * 100_000}, "config.json: .*; JSON is accepted"),
        ({"config.json": json.dumps({**CONFIG, "model_type": ["llama"]})}, r"is of model_type .*llama.*; there are llama"),
        *(
            ({"config.json": json.dumps({**CONFIG, **odd})}, "no model can be built of what its configuration says .*; one that its makers")
            for odd in (
                {"vocab_size": "300"},
                {"hidden_size": -3},
                {"num_attention_heads": 0},
                {"rope_scaling": {"type": "linear", "factor": "2"}},
                {"rope_scaling": "linear"},
            )
        ),
        ({"tokenizer.json": None}, "holds no tokenizer.json, which is needed"),
        ({"tokenizer.json": "{}"}, "tokenizer.json: .*; a tokenizer of `tokenizers` is accepted"),
        ({"model.safetensors": None}, "holds no model.safetensors and no model.safetensors.index.json.*--trust-pickle"),
    ],
)
def test_what_a_folder_lacks_is_named(folder, files, said):
    for name, content in files.items():
        (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(ValueError, match=said):
        load_published(folder)


# ---------------------------------------------------------------- the hub


def test_an_id_is_fetched_from_the_hub(folder, monkeypatch):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda id, allow_patterns: asked.append((id, allow_patterns)) or str(folder))
    system = load_published("somebody/something")
    assert asked[0][0] == "somebody/something" and "*.safetensors" in asked[0][1] and "*.bin" not in asked[0][1]
    assert system.origin["arguments"]["path"] == "somebody/something"
    load_published("somebody/something", trust_pickle=True)
    assert "*.bin" in asked[1][1]


def test_what_cannot_be_fetched_says_why(monkeypatch):
    import huggingface_hub

    def offline(id, allow_patterns):
        raise huggingface_hub.errors.OfflineModeIsEnabled("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(
        ValueError, match=r"somebody/something is no folder here, and could not be fetched \(OfflineModeIsEnabled: no network"
    ):
        load_published("somebody/something")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"huggingface_hub is missing; install it: pip install 'tessera-multimodal\[hub\]'"):
        load_published("somebody/something")
    for name in ("nowhere", "a/b/c", "../elsewhere"):
        with pytest.raises(ValueError, match=f"hub: {name} is no folder; a folder, or an id owner/name is accepted"):
            load_published(name)


# ---------------------------------------------------------------- memory

MEASURE = """
import sys
from pathlib import Path
from safetensors.torch import load_file
from tessera.hub import load_published, loading
from tessera.hub.tensors import InMemory

def status(line):
    return 1024 * int(next(l for l in open("/proc/self/status") if l.startswith(line)).split()[1])

def peak():
    before = status("VmRSS")
    load_published(folder)
    print((status("VmHWM") - before) / sum(file.stat().st_size for file in folder.glob("*.safetensors")))

folder = Path(sys.argv[1])
peak()
loading.tensors = lambda folder: {n: InMemory(t.clone()) for f in folder.path.glob("*.safetensors") for n, t in load_file(f).items()}
peak()
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A language model of 200 MB in three files."""
    folder, config = tmp_path_factory.mktemp("large"), {**CONFIG, "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 8}
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(config))
    layer = {"input_layernorm": (1024,), "post_attention_layernorm": (1024,), "mlp.down_proj": (1024, 2816)}
    layer |= {f"mlp.{name}_proj": (2816, 1024) for name in ("gate", "up")} | {f"self_attn.{name}_proj": (1024, 1024) for name in "qkvo"}
    shapes = {"model.embed_tokens.weight": (300, 1024), "model.norm.weight": (1024,), "lm_head.weight": (300, 1024)}
    shapes |= {f"model.layers.{i}.{name}.weight": shape for i in range(8) for name, shape in layer.items()}
    shard(folder, {name: torch.full(shape, 0.01, dtype=torch.bfloat16) for name, shape in shapes.items()})
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_checkpoint_takes_little_more_memory_than_it_is_large(large):
    """A file that is read as a whole and then joined takes half as much again, at least: so the measure shows what it shall."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(large)], capture_output=True, text=True, check=True)
    streamed, whole = map(float, done.stdout.split())
    assert 0.9 < streamed < 1.2 and whole > 1.5
