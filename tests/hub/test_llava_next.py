"""LLaVA-NeXT loaded from the folder that transformers writes, beside transformers' class and its processor."""

import copy
import random

import pytest
import torch
from hub.oracle import MUTATIONS, exactly, ids_of, learned, near, redrawn, rounds_as_theirs, saved, states, transformers
from hub.test_llava import CLIP, LLAMA, SIGLIP, llama
from hub.test_manners import processor, tokenizer
from PIL import Image as Pillow
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution

from tessera.codecs import Tiles
from tessera.codecs.tiles import best, within
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import export_published, load_published
from tessera.verbs.generate import generate
from tessera.verbs.optimizing import thaw

PICTURE = 300  # the id that stands where the picture does
SHAPES = [(20, 9), (7, 30), (16, 16), (5, 5), (23, 12)]
CONFIGS = {
    "1.6": lambda: transformers.LlavaNextConfig(
        text_config=llama(num_key_value_heads=2, rms_norm_eps=1e-5, vocab_size=310),
        vision_config=transformers.CLIPVisionConfig(**CLIP),
        image_token_index=PICTURE,
        image_grid_pinpoints=[[8, 16], [16, 8], [16, 16], [24, 8], [8, 24]],
    ),
    "tied, odd sizes, another layer, mistral": lambda: transformers.LlavaNextConfig(
        text_config=transformers.MistralConfig(
            **{**LLAMA, "hidden_size": 36, "num_attention_heads": 3, "vocab_size": 310}, num_key_value_heads=3, head_dim=10,
            sliding_window=None, bos_token_id=0, eos_token_id=3,
        ),
        vision_config=transformers.CLIPVisionConfig(
            **{**CLIP, "image_size": 15, "patch_size": 5, "hidden_size": 24, "num_hidden_layers": 4}
        ),
        image_token_index=PICTURE,
        image_grid_pinpoints=[[15, 30], [45, 15], [30, 30]],
        vision_feature_layer=-3,
        multimodal_projector_bias=False,
        tie_word_embeddings=True,
    ),
    "siglip": lambda: transformers.LlavaNextConfig(
        text_config=llama(vocab_size=310),
        vision_config=transformers.SiglipVisionConfig(**SIGLIP),
        image_token_index=PICTURE,
        image_grid_pinpoints=[[16, 16], [8, 32]],
        vision_feature_select_strategy="full",
    ),
    "siglip, squares that do not cover a tile": lambda: transformers.LlavaNextConfig(
        text_config=llama(vocab_size=310),
        vision_config=transformers.SiglipVisionConfig(**{**SIGLIP, "image_size": 15}),
        image_token_index=PICTURE,
        image_grid_pinpoints=[[15, 30], [45, 15], [30, 30]],
        vision_feature_select_strategy="full",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """Their class, their processor and our system, from one folder."""
    theirs, folder = redrawn(transformers.LlavaNextForConditionalGeneration(CONFIGS[request.param]())), tmp_path_factory.mktemp("next")
    saved(theirs, folder, special=("<image>",))
    eye = theirs.config.vision_config
    images = transformers.LlavaNextImageProcessorPil(
        size={"shortest_edge": eye.image_size}, crop_size={"height": eye.image_size, "width": eye.image_size},
        image_grid_pinpoints=theirs.config.image_grid_pinpoints,
    )  # fmt: skip
    strategy = theirs.config.vision_feature_select_strategy
    made = processor(
        folder, transformers.LlavaNextProcessor, images, tokenizer=tokenizer(folder, image_token="<image>"), patch_size=eye.patch_size,
        vision_feature_select_strategy=strategy, num_additional_image_tokens=int(strategy == "default"),
    )  # fmt: skip
    return theirs, made, load_published(folder)


def picture(shape, seed=0):
    return torch.randint(0, 256, (3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def shown_to(made, shape):
    """What their processor makes of a picture among words."""
    shown = Pillow.fromarray(picture(shape).permute(1, 2, 0).numpy())
    return made(text="a red<image> what is it?", images=shown, return_tensors="pt")


def document(shape):
    return Document((Text("a red"), Image(picture(shape)), Text(" what is it?"), Text(" a blue star", learn=True)))


def whole(system, some):
    return torch.tensor([ids_of(system, some, lambda piece: [PICTURE] * piece.count)])


def theirs_of(theirs, made, system, shape):
    """Their states, logits and next-token loss of a document."""
    some, shown = document(shape), shown_to(made, shape)
    ids = whole(system, some)
    labels = ids.masked_fill(~learned(system, some)[None], -100)
    seen = {"pixel_values": shown.pixel_values.to(theirs.dtype), "image_sizes": shown.image_sizes}
    out = theirs(input_ids=ids, labels=labels, **seen)
    return theirs.model(input_ids=ids, **seen).last_hidden_state[0], out.logits[0], out.loss


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_squares_and_how_many_are_those_of_their_processor(pair, shape):
    theirs, made, system = pair
    shown, eye = shown_to(made, shape), theirs.config.vision_config
    tiled = system.by_name["image"].codec.encode([picture(shape)]).clean[0]
    squares = torch.cat([tiled.whole[None], tiled.tiles.flatten(0, 1)])
    patch, side = eye.patch_size, eye.image_size // eye.patch_size
    expected = (
        shown.pixel_values[0].unfold(2, patch, patch).unfold(3, patch, patch).permute(0, 2, 3, 1, 4, 5).reshape(-1, side**2, 3 * patch**2)
    )
    torch.testing.assert_close(squares, expected, rtol=1e-5, atol=1e-5)
    ids = whole(system, Document((Text("a red"), Image(picture(shape)), Text(" what is it?"), Text("", learn=True))))[0, :-1]
    assert (ids == PICTURE).sum() == (shown.input_ids == made.image_token_id).sum()


def test_any_shape_takes_the_grid_and_leaves_out_the_filling_that_theirs_does():
    grids = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]
    codec = Tiles(pixels=336, patch=14, grids=grids, resize=lambda picture, height, width: picture)
    made = transformers.LlavaNextProcessor.__new__(transformers.LlavaNextProcessor)
    made.patch_size = 14
    rng = random.Random(0)
    for _ in range(300):
        size = rng.randrange(10, 3000), rng.randrange(10, 3000)
        rows, columns = (length // 336 for length in best(size, grids))
        assert best(size, grids) == tuple(select_best_resolution(size, grids))
        shown = codec._shown(size, rows, columns)
        assert (shown.numel(), len(shown)) == made._get_unpadded_features(*size, 24, 24, rows, columns)
        assert within(size, best(size, grids)) == tuple(get_patch_output_size(torch.empty(3, *size), best(size, grids), "channels_first"))


def test_tiles_are_only_looked_at():
    codec = Tiles(pixels=8, patch=4, grids=[(8, 16)], resize=lambda picture, height, width: picture)
    for ask in (lambda: codec.decode([]), codec.blank, lambda: codec.keep(torch.ones(8, 8, dtype=torch.bool))):
        with pytest.raises(ValueError, match="Tiles: "):
            ask()


@pytest.mark.parametrize("shape", SHAPES)
def test_states_logits_and_losses_are_theirs(pair, shape):
    theirs, made, system = pair
    hidden, logits, loss = theirs_of(theirs, made, system, shape)
    found = states(system, document(shape))
    assert near(found, hidden) and near(system.text.writer(found), logits)
    total, count = system.losses([document(shape)], [Draw(0)])["text"]
    assert near(total / count, loss)


def test_pictures_of_all_shapes_are_read_together(pair):
    _, _, system = pair
    documents = [document(shape) for shape in SHAPES]
    together = system.losses(documents, [Draw(i) for i in range(len(SHAPES))])["text"][0]
    alone = sum(system.losses([one], [Draw(0)])["text"][0] for one in documents)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_it_says_greedily_what_they_say(pair):
    theirs, made, system = pair
    allowed, longest = system.text.law.allowed.tolist(), 0
    for shape, asked in ((SHAPES[0], "what is it?"), (SHAPES[1], "a blue star and"), (SHAPES[2], "USER: say")):
        prompt, shown = Document((Image(picture(shape)), Text(asked))), shown_to(made, shape)
        ids = whole(system, Document((*prompt, Text("", learn=True))))[:, :-1]
        said = theirs.generate(
            ids, pixel_values=shown.pixel_values, image_sizes=shown.image_sizes, max_new_tokens=12, do_sample=False,
            prefix_allowed_tokens_fn=lambda batch, sent: allowed,
        )  # fmt: skip
        written = generate(system, prompt, want=Text, longest=13)
        assert said[0, ids.shape[1] :].tolist()[:12] == written.clean[-1].tolist()[:12]
        longest = max(longest, len(written.clean[-1]))
    assert longest > 3


def test_in_half_precision_it_rounds_as_theirs(pair, tmp_path):
    theirs, made, system = pair
    rounded, shape = copy.deepcopy(theirs).to(torch.bfloat16), SHAPES[0]
    half = load_published(saved(rounded, tmp_path, special=("<image>",)))
    exact, said = (theirs_of(one, made, system, shape)[0] for one in (exactly(rounded), rounded))
    assert rounds_as_theirs(states(half, document(shape)), said, exact)


def test_a_folder_comes_back_and_adapters_learn(pair, tmp_path):
    theirs, made, system = pair
    export_published(system, tmp_path / "back")
    again = transformers.LlavaNextForConditionalGeneration.from_pretrained(tmp_path / "back").eval()
    assert near(theirs_of(again, made, system, SHAPES[1])[1], theirs_of(theirs, made, system, SHAPES[1])[1], 1e-6)
    adapted = load_published(tmp_path / "back", lora=2)
    thaw(adapted, adapted.stages[0])
    adapted.losses([document(SHAPES[1])], [Draw(0)])["text"][0].backward()
    names = {name for layer in adapted.modules() for name in getattr(layer, "names", ())}
    assert "model.language_model.layers.0.self_attn.q_proj" in names


def no_row_ends(system):
    """Rows end with nothing."""
    system.by_name["image"].reader.row_end.weight.data.zero_()


def tiles_in_columns(system):
    """Squares of the tiles in another order."""
    codec = system.by_name["image"].codec
    plain = codec._tiled
    codec._tiled = lambda raw: plain(raw)._replace(shown=plain(raw).shown.flip(0))


@pytest.mark.parametrize("mutation", [*MUTATIONS, no_row_ends, tiles_in_columns])
def test_a_mutated_system_says_something_else(pair, mutation):
    theirs, made, system = pair
    changed = copy.deepcopy(system)
    mutation(changed)
    assert not near(states(changed, document(SHAPES[0])), theirs_of(theirs, made, system, SHAPES[0])[0], 1e-2)
