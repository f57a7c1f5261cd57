"""How pictures and words are put to published systems, beside the processors of transformers that are saved in the same folders."""

import json

import numpy as np
import pytest
import torch
from hub import test_chameleon, test_emu3, test_janus, test_llama, test_llava
from hub.oracle import ids_of, redrawn, saved, transformers
from PIL import Image as Pillow

from tessera.document import Document, Image, Text
from tessera.hub import load_published
from tessera.hub.chat import Chat
from tessera.hub.emu3 import WANTED
from tessera.hub.pictures import cropped, near, padded, squared
from tessera.manners import Manners

SHAPES = [(3, 40, 24), (3, 24, 40), (3, 16, 16), (3, 7, 61)]
BICUBIC = Pillow.Resampling.BICUBIC


def picture(shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def tokenizer(folder, **tokens):
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), bos_token="<s>", eos_token="</s>", pad_token="<pad>", extra_special_tokens=tokens
    )
    return made


def processor(folder, kind, images, **how):
    """Their processor, saved into the folder and opened from there as anybody would."""
    kind(images, how.pop("tokenizer"), **how).save_pretrained(folder)
    return transformers.AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    made = redrawn(transformers.LlavaForConditionalGeneration(test_llava.CONFIGS["1.5"]()))
    saved(made, folder, special=("<image>",))
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    theirs = processor(
        folder, transformers.LlavaProcessor, images, tokenizer=tokenizer(folder, image_token="<image>"), patch_size=4,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=WITH_SYSTEM,
    )  # fmt: skip
    return theirs, load_published(folder)


WITH_SYSTEM = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ content['text'] + ' ' }}{% endgeneration %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@pytest.fixture(scope="module")
def janus(tmp_path_factory):
    folder, special = tmp_path_factory.mktemp("janus"), ("<begin_of_image>", "<end_of_image>", "<image_placeholder>")
    saved(redrawn(transformers.JanusForConditionalGeneration(test_janus.CONFIGS["Janus"]())), folder, special=special)
    images = transformers.JanusImageProcessorPil(size={"height": 16, "width": 16}, min_size=2)
    names = dict(zip(("boi_token", "eoi_token", "image_token"), special, strict=True))
    theirs = processor(
        folder, transformers.JanusProcessor, images, tokenizer=tokenizer(folder, **names), num_image_tokens=16,
        use_default_system_prompt=True,
        chat_template="{% for m in messages %}<|User|>: {% for c in m.content %}{% if c.type == 'image' %}<image_placeholder>\n"
        "{% else %}{{ c.text }}{% endif %}{% endfor %}\n\n{% endfor %}{% if add_generation_prompt %}<|Assistant|>:{% endif %}",
    )  # fmt: skip
    return theirs, load_published(folder)


def heard(system, document, placeholder):
    """What the system hears before it answers, as ids, and the document as its own manners put it."""
    put = system.manners.document(document)
    shown = Document(tuple(Image(system.manners.picture(s.content)) if isinstance(s, Image) else s for s in put))
    return ids_of(system, shown, lambda piece: [placeholder] * piece.count)[:-1], shown  # without what closes the answer


ASKED = (Text("what is it?"), Text("", learn=True))


def message(*parts):
    return [{"role": "user", "content": [{"type": kind, **({kind: value} if kind == "text" else {})} for kind, value in parts]}]


@pytest.mark.parametrize("shape", SHAPES)
def test_llava_is_shown_and_asked_as_its_processor_does(llava, shape):
    theirs, system = llava
    assert isinstance(system.manners, Manners)
    shown = picture(shape)
    said = theirs.apply_chat_template(message(("image", None), ("text", "what is it?")), add_generation_prompt=True)
    expected = theirs(text=said, images=Pillow.fromarray(shown.permute(1, 2, 0).numpy()), return_tensors="pt")
    ids, put = heard(system, Document((Image(shown), *ASKED)), theirs.image_token_id)
    assert ids == expected.input_ids[0].tolist()
    squares = system.by_name["image"].codec.encode([put.pictures[0]]).clean[0]
    pixels = expected.pixel_values[0].unfold(1, 4, 4).unfold(2, 4, 4).permute(1, 2, 0, 3, 4).reshape(4, -1)
    torch.testing.assert_close(squares, pixels, rtol=1e-5, atol=1e-5)


CLIPS, SIGLIPS = transformers.CLIPImageProcessorPil, transformers.SiglipImageProcessorPil
SHOWN = {
    "siglip, stretched": SIGLIPS(size={"height": 8, "width": 8}),
    "clip, stretched": CLIPS(size={"height": 8, "width": 8}, do_center_crop=False),
    "clip, less of the middle": CLIPS(size={"shortest_edge": 12}, crop_size={"height": 8, "width": 8}),
    "clip, stretched and cut": CLIPS(size={"height": 8, "width": 8}, crop_size={"height": 8, "width": 8}),
    "llava, padded": transformers.LlavaImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}, do_pad=True),
}


@pytest.mark.parametrize("name", SHOWN)
def test_llava_is_shown_what_its_folder_s_processor_makes(tmp_path, name):
    eye = "siglip, qwen2" if "siglip" in name else "1.5"
    saved(redrawn(transformers.LlavaForConditionalGeneration(test_llava.CONFIGS[eye]())), tmp_path, special=("<image>",))
    theirs = processor(
        tmp_path, transformers.LlavaProcessor, SHOWN[name], tokenizer=tokenizer(tmp_path, image_token="<image>"), patch_size=4
    )
    system = load_published(tmp_path)
    for shape in SHAPES:
        shown = picture(shape)
        expected = theirs.image_processor(Pillow.fromarray(shown.permute(1, 2, 0).numpy()), return_tensors="pt").pixel_values[0]
        squares = system.by_name["image"].codec.encode([system.manners.picture(shown)]).clean[0]
        pixels = expected.unfold(1, 4, 4).unfold(2, 4, 4).permute(1, 2, 0, 3, 4).reshape(4, -1)
        torch.testing.assert_close(squares, pixels, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", [{"size": {"height": 9, "width": 8}}, {"size": {"shortest_edge": 8}, "do_center_crop": False}])
def test_pictures_that_end_at_another_size_than_the_eye_s_are_refused(tmp_path, how):
    saved(redrawn(transformers.LlavaForConditionalGeneration(test_llava.CONFIGS["1.5"]())), tmp_path, special=("<image>",))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(how))
    with pytest.raises(ValueError, match=r"asks for pictures of size .*; what ends at 8 x 8 pixels is accepted"):
        load_published(tmp_path)


@pytest.mark.parametrize("shape", SHAPES)
def test_janus_is_shown_and_asked_as_its_processor_does(janus, shape):
    theirs, system = janus
    shown = picture(shape)
    said = theirs.apply_chat_template(message(("image", None), ("text", "what is it?")), add_generation_prompt=True)
    expected = theirs(text=said, images=Pillow.fromarray(shown.permute(1, 2, 0).numpy()), return_tensors="pt")
    ids, put = heard(system, Document((Image(shown), *ASKED)), theirs.tokenizer.image_token_id)
    assert ids == expected.input_ids[0].tolist()
    squares = system.by_name["eye"].codec.encode([put.pictures[0]]).clean[0]
    pixels = expected.pixel_values[0].unfold(1, 4, 4).unfold(2, 4, 4).permute(1, 2, 0, 3, 4).reshape(16, -1)
    torch.testing.assert_close(squares, pixels, rtol=1e-5, atol=1e-5)


def test_janus_is_asked_to_draw_as_its_processor_does(janus):
    theirs, system = janus
    said = theirs.apply_chat_template(message(("text", "a red circle")), add_generation_prompt=True)
    expected = theirs(text=said, generation_mode="image", return_tensors="pt").input_ids[0].tolist()
    drawn = Image(torch.zeros(3, 16, 16, dtype=torch.uint8), learn=True)
    put = system.manners.document(Document((Text("a red circle"), drawn)))
    assert ids_of(system, put, lambda piece: []) == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_chameleon_is_shown_and_asked_as_its_processor_does(tmp_path, shape):
    theirs = redrawn(transformers.ChameleonForConditionalGeneration(test_chameleon.CONFIGS["7B"]()))
    saved(theirs, tmp_path, special=test_chameleon.SPECIAL)
    names = {"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>", "sep_token": "<reserved08706>"}
    images = transformers.ChameleonImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    made = processor(tmp_path, transformers.ChameleonProcessor, images, tokenizer=tokenizer(tmp_path, **names), image_seq_length=16)
    made.tokenizer.sep_token = "<reserved08706>"
    system, shown = load_published(tmp_path), picture(shape)
    expected = made(text="<image>what is it?", images=Pillow.fromarray(shown.permute(1, 2, 0).numpy()), return_tensors="pt")
    ids, put = heard(system, Document((Image(shown), *ASKED)), 302)
    assert ids == expected.input_ids[0].tolist()
    torch.testing.assert_close((put.pictures[0] * 0.0078 - 1.0).float(), expected.pixel_values[0].float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (9, 30), (50, 21), (4, 5)])
def test_emu3_is_shown_and_asked_as_its_processor_does(tmp_path, size):
    made, _ = test_emu3.CONFIGS["Emu3"]
    names = {
        "image_token": "<image>",
        "boi_token": "<|image start|>",
        "eoi_token": "<|image end|>",
        "image_wrapper_token": "<|image token|>",
    }
    names |= {"eof_token": "<|extra_201|>"}
    images = transformers.Emu3ImageProcessor(min_pixels=60, max_pixels=300, spatial_factor=2, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    images.save_pretrained(tmp_path)
    saved(redrawn(transformers.Emu3ForConditionalGeneration(made())), tmp_path, begin="", special=(*test_emu3.SPECIAL, "<image>"))
    theirs = processor(tmp_path, transformers.Emu3Processor, images, tokenizer=tokenizer(tmp_path, **names))
    theirs.bos_token, theirs.downsample_ratio = test_emu3.DOCUMENT, 2
    system, shown = load_published(tmp_path), picture((3, *size))
    said = "You are a helpful assistant. USER: <image>what is it?. ASSISTANT:"
    expected = theirs(text=said, images=Pillow.fromarray(shown.permute(1, 2, 0).numpy()), return_tensors="pt")
    put = system.manners.document(Document((Image(system.manners.picture(shown)), *ASKED)))
    rows, columns = (side // 2 for side in put.pictures[0].shape[1:])

    def placeholders(piece):
        ids = piece.visible.tolist()
        begun = len(ids) - 2 - rows * (columns + 1)
        return [*ids[:begun], *[theirs.image_token_id] * (rows * (columns + 1)), *ids[-2:]]

    assert ids_of(system, put, placeholders)[:-1] == expected.input_ids[0].tolist()
    torch.testing.assert_close(put.pictures[0] / 127.5 - 1, expected.pixel_values[0], rtol=1e-5, atol=1e-5)
    side = system.by_name["image"].codec.pixels
    assert system.manners.drawing(shown).shape == (3, side, side)

    wanted = {"text": f"a red circle{WANTED}", "return_for_image_generation": True, "image_area": side**2}
    drawn = Image(torch.zeros(3, side, side, dtype=torch.uint8), learn=True)
    put = system.manners.document(Document((Text("a red circle"), drawn)))
    assert ids_of(system, put, lambda piece: []) == theirs(**wanted).input_ids[0]


LANGUAGES = {
    "llama 3": (
        "<|eot_id|>",
        ("<|start_header_id|>", "<|end_header_id|>"),
        "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
        "message['content'] | trim + '<|eot_id|>' %}{{ bos_token + content if loop.first else content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    ),
    "qwen": (
        "<|im_end|>",
        ("<|im_start|>",),
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
    "mistral": (
        "</s>",
        (),
        "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}",
    ),
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_language_models_are_talked_to_as_their_tokenizers_do(tmp_path, name):
    end, special, template = LANGUAGES[name]
    made = transformers.LlamaConfig(**{**test_llama.SIZES, "vocab_size": 320}, hidden_size=24, num_attention_heads=4)
    folder = saved(redrawn(transformers.LlamaForCausalLM(made)), tmp_path, end=end, special=special, begin="" if name == "qwen" else "<s>")
    spells = json.loads((folder / "tokenizer.json").read_text())
    spells["pre_tokenizer"]["add_prefix_space"] = False  # as theirs are
    (folder / "tokenizer.json").write_text(json.dumps(spells))
    said = json.loads((folder / "tokenizer_config.json").read_text())
    said |= {"chat_template": template, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    theirs, system = transformers.AutoTokenizer.from_pretrained(folder), load_published(folder)
    turns = [("user", "what is it?"), ("assistant", "a red circle"), ("user", "and that?"), ("assistant", "a blue star"), ("user", "sure?")]
    for count in (1, 3, 5):
        messages = [{"role": role, "content": words} for role, words in turns[:count]]
        document = Document((*(Text(words, learn=role == "assistant") for role, words in turns[:count]), Text("", learn=True)))
        expected = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        assert ids_of(system, system.manners.document(document), list)[:-1] == expected


# ---------------------------------------------------------------- pictures


def test_rules_for_pictures():
    tall = torch.zeros(3, 20, 10, dtype=torch.uint8)
    tall[:, 5:15] = 255
    assert cropped(10, BICUBIC)(tall).shape == (3, 10, 10) and cropped(10, BICUBIC)(tall).min() == 255
    grey = (10, 20, 30)
    fit = padded(20, BICUBIC, grey)(tall)
    assert fit.shape == (3, 20, 20) and fit[:, :, 0].T.tolist() == [list(grey)] * 20 and torch.equal(fit[:, :, 5:15], tall)
    square = squared(10, BICUBIC, grey)(tall)
    assert square.shape == (3, 10, 10) and square[:, 0, 0].tolist() == list(grey)
    fit = near(8, 1000, 2000, BICUBIC)
    assert [tuple(fit(picture((3, *size))).shape[1:]) for size in ((33, 44), (10, 20), (100, 100))] == [(32, 48), (24, 48), (40, 40)]
    with pytest.raises(ValueError, match="3 x 601 pixels; sides of 1 to 200"):
        fit(picture((3, 3, 601)))
    assert np.asarray(padded(16, BICUBIC, grey, least=4)(picture((3, 2, 64)))).shape == (3, 16, 16)


# ---------------------------------------------------------------- chats

TURNS = "{% for m in messages %}{{ '[' if m.role == 'user' }}{% for c in m.content %}{{ '<image>' if c.type == 'image' else c.text }}"
TURNS += "{% endfor %}{{ ']' if m.role == 'user' else '</s>' }}{% endfor %}"


def chat(**changes):
    return Chat(
        **{"template": TURNS, "picture": "<image>", "special": frozenset({"</s>", "<image>"}), "begin": "<s>", "end": "</s>", **changes}
    )


def told(document):
    return [s.content if isinstance(s, Text) else "picture" for s in document]


def test_turns_and_their_answers_stand_apart():
    shown, drawn = (Image(picture(SHAPES[2], seed)) for seed in (1, 2))
    document = Document((shown, Text("one?"), Text("yes", learn=True), Text("two"), drawn, Text("no", learn=True), Text("thanks")))
    put = chat().document(document)
    assert told(put) == ["[", "picture", "one?]", "yes", "[two", "picture", "]", "no"]
    assert [s.learn for s in put] == [False, False, False, True, False, False, False, True]
    assert torch.equal(put.pictures[0], shown.content) and torch.equal(put.pictures[1], drawn.content)
    assert told(chat(begin="[").document(document))[:2] == ["picture", "one?]"]  # a marker of the system's own opens the document


def test_what_is_learned_goes_on_without_another_word():
    put = chat(preface="P ").document(Document((Text("draw"), Image(learn=True), Text(learn=True))))
    assert told(put) == ["[draw]", "picture", None]
    assert told(chat(preface="P ").document(Document((Text("say"), Text(learn=True))))) == ["P [say]", None]
    plainly = chat(behind=", in oil", drawn_plainly=True)
    assert told(plainly.document(Document((Text("a dog"), Image(learn=True))))) == ["a dog, in oil", "picture"]
    assert told(chat(bare=True, template="{{ messages[0].content }}!").document(Document((Text("x"), Text(learn=True))))) == ["x!", None]


SPACED = "{% for m in messages %}{{ m.role.upper() }}: {{ m.content[0].text | trim }}{{ '</s>' if m.role == 'assistant' else '\n' }}"
SPACED += "{% endfor %}{{ 'ASSISTANT:' if add_generation_prompt }}"


def test_answers_to_be_learned_begin_as_the_template_lets_them():
    talk = (Text("one?"), Text("yes", learn=True), Text("two?"), Text(" no", learn=True))
    put = chat(template=SPACED).document(Document(talk))
    assert told(put) == ["USER: one?\nASSISTANT:", " yes", "USER: two?\nASSISTANT:", " no"]
    assert told(chat(template=SPACED, preface="P ").document(Document(talk[:2]))) == ["P USER: one?\nASSISTANT:", " yes"]
    assert told(chat(template=SPACED).document(Document((Text("x"), Text("", learn=True)))))[1] == ""
    reworded = "{{ messages[0].content[0].text }}{{ ' (' ~ messages[1].content[0].text ~ ')' if messages[1:] }}"
    assert told(chat(template=reworded).document(Document(talk[:2]))) == ["one?", "yes"]


def test_pictures_without_a_word_are_asked_to_be_described(llava):
    _, system = llava
    shown = Image(picture((3, 8, 8)))
    alone = system.manners.document(Document((shown, Text("a dog", learn=True), shown, Text("a cat", learn=True))))
    asked = "USER: <image>\nDescribe the picture. ASSISTANT:".split("<image>")
    assert told(alone) == [asked[0], "picture", asked[1], " a dog", asked[0], "picture", asked[1], " a cat"]
    plain = system.manners.document(Document((shown, Text("what is it?"), Text("a dog", learn=True))))
    assert told(plain)[2:] == ["\nwhat is it? ASSISTANT:", " a dog"]


def test_janus_sees_padded_pictures_and_learns_to_draw_cut_ones(janus):
    _, system = janus
    wide = torch.full((3, 16, 64), 255, dtype=torch.uint8)
    assert system.manners.picture(wide).shape == system.manners.drawing(wide).shape == (3, 16, 16)
    assert system.manners.picture(wide).min() < 255 and system.manners.drawing(wide).min() == 255


def test_documents_without_anything_to_learn_stay_as_they_are():
    document = Document((Text("a"), Text("b")))
    assert chat().document(document) is document


@pytest.mark.parametrize(
    ("changes", "document", "said"),
    [
        ({}, Document((Text("x</s>"), Text(learn=True))), "a text holds </s>, which only the template may say"),
        ({}, Document((Text("x"), Text(learn=True), Text("y"), Text(learn=True))), "an answer before the last turn is blank"),
        ({"template": "{{ raise_exception('no system') }}"}, Document((Text("x"), Text(learn=True))), "refuses this document: no system"),
        ({"template": "{{ messages.__class__.__mro__ }}{% if %}"}, Document((Text("x"), Text(learn=True))), "the published template fails"),
        (
            {"template": "words"},
            Document((Image(picture((4, 4))), Text(learn=True))),
            "1 pictures are shown of which the template says nothing",
        ),
        ({"template": "{{ ''.__class__.__mro__ }}"}, Document((Text("x"), Text(learn=True))), "the published template fails: .*unsafe"),
    ],
)
def test_what_a_chat_cannot_be_made_of_is_refused(changes, document, said):
    with pytest.raises(ValueError, match=said):
        chat(**changes).document(document)


def test_a_template_is_found_wherever_it_lies(tmp_path):
    from tessera.hub.folder import Folder
    from tessera.hub.manners import template

    folder = Folder(tmp_path, {})
    assert template(folder, "usual") == "usual"
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]})
    )
    assert template(folder, "usual") == "d"
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "c"}))
    assert template(folder, "usual") == "c"
    (tmp_path / "chat_template.jinja").write_text("j")
    assert template(folder, "usual") == "j"
