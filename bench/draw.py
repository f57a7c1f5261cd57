"""Drawing beside transformers' Janus with the same trunk and as many codes a picture, under guidance, at batch 1 and 8.

Both have random weights, write the same number of codes and decode them to pictures. Run: python bench/draw.py
"""

import statistics
import time

import torch
from common import lines_to_page
from transformers import JanusConfig, JanusForConditionalGeneration, JanusVisionConfig, JanusVQVAEConfig, LlamaConfig

from tessera.document import Document, Image, Text
from tessera.laws import Sampling
from tessera.verbs.generate import write
from tessera.verbs.recipes import build
from tessera.verbs.writing import Request

GUIDANCE, ROUNDS, PROMPT = 5.0, 7, "a red circle at the top left and a blue star at the bottom right"


def janus_like(system, codes, elements):
    """transformers' Janus with our trunk's dimensions, drawing pictures of the same size."""
    block = system.trunk.blocks[0]
    attention, mlp = block.attention.inner, block.mlp.inner
    width = attention.out.in_features
    text = LlamaConfig(
        vocab_size=1024,
        hidden_size=width,
        intermediate_size=mlp.down.in_features,
        num_hidden_layers=len(system.trunk.blocks),
        num_attention_heads=attention.split[0],
        max_position_embeddings=1024,
    )
    vision = JanusVisionConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=width,
        num_image_tokens=elements,
    )
    vq = JanusVQVAEConfig(
        embed_dim=8,
        num_embeddings=codes,
        latent_channels=64,
        base_channels=64,
        channel_multiplier=[1, 1, 1, 1],
        num_res_blocks=1,
        projection_dim=width,
        image_token_embed_dim=width,
        num_patches=int(elements**0.5),
    )
    janus = JanusForConditionalGeneration(JanusConfig(text_config=text, vision_config=vision, vq_config=vq)).eval()
    janus.generation_config.generation_kwargs = {"boi_token_id": 5}
    return janus


def main():
    torch.manual_seed(0)
    system = build("chameleon").eval()
    codec = system.port(Image(learn=True)).codec
    janus = janus_like(system, codec.codec.quantizer.size, codec.codec.elements)
    ids = torch.randint(6, 1000, (1, len(system.text.codec.encode([PROMPT]).clean[0]) + 2))
    rows = []
    for batch in (1, 8):

        def ours(n=batch):
            sampling = {Image: Sampling(guidance=GUIDANCE)}
            written = write(system, [Request(Document((Text(PROMPT), Image(learn=True))), seed, sampling) for seed in range(n)])
            return [one.pictures[0] for one in written]

        def theirs(n=batch):
            inputs = ids.expand(n, -1)
            codes = janus.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                generation_mode="image",
                guidance_scale=GUIDANCE,
                do_sample=True,
                pad_token_id=0,
                bos_token_id=1,
                use_cache=True,
            )
            return janus.decode_image_tokens(codes)

        seconds = {"tessera": [], "transformers": []}
        with torch.no_grad():
            shapes = [len(ours()), tuple(theirs().shape)]
            for _ in range(ROUNDS):
                for name, draw in (("tessera", ours), ("transformers", theirs)):
                    begun = time.perf_counter()
                    draw()
                    seconds[name].append(time.perf_counter() - begun)
        print("drawn:", shapes)
        speed = {name: batch / statistics.median(values) for name, values in seconds.items()}
        ratio = statistics.median(b / a for a, b in zip(seconds["tessera"], seconds["transformers"], strict=True))
        rows.append(f"| {batch} | {speed['tessera']:.1f} | {speed['transformers']:.1f} | {ratio:.2f} |")
    head = ["| batch | tessera, pictures/s | Janus, pictures/s | ratio |", "|---|---|---|---|"]
    note = (
        f"Ours is Chameleon. {codec.codec.elements} codes a picture, guidance {GUIDANCE}, float32, decoding to pixels included. Medians of "
        f"{ROUNDS} rounds, of the ratios too. All pictures of a batch are of one prompt, which ours reads once; of unlike ones the ratio "
        "is lower ([decisions](decisions.md))."
    )
    lines_to_page("draw", "Drawing beside transformers' Janus of the same trunk", [note, "", *head, *rows])


if __name__ == "__main__":
    main()
