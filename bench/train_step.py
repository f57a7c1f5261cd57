"""One training step beside a transformers Llama: useful tokens per second and peak memory, in one process.

Both see the same documents of mixed lengths, have the same width, depth, heads, MLP, vocabulary, precision and optimizer,
and learn the same tokens; padding is waste for both. Run: python bench/train_step.py
"""

import statistics
import time
from contextlib import nullcontext
from dataclasses import replace

import torch
from common import lines_to_page, peak_memory
from transformers import LlamaConfig, LlamaForCausalLM

from tessera.data import schedule
from tessera.verbs.loader import Loader
from tessera.verbs.optimizing import optimizer_for, thaw
from tessera.verbs.recipes import build
from tessera.world import World

BATCH, BATCHES, ROUNDS = 64, 8, 5


def tokens_of(system, laid):
    """Ids and labels of each document, as a Hugging Face collator would get them: -100 where nothing is learned."""
    rows = []
    for pieces in laid:
        ids = torch.cat([piece.visible for piece in pieces])
        labels = [p.goal.target if p.goal is not None else torch.full_like(p.visible, -100) for p in pieces]
        rows.append((ids, torch.cat(labels)))
    return rows


def collate(rows):
    """Padded on the right to the longest document of the batch."""
    pad = lambda parts, value: torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=value)
    ids, labels = pad([r[0] for r in rows], 0), pad([r[1] for r in rows], -100)
    mask = pad([torch.ones_like(r[0]) for r in rows], 0)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def llama_like(system, vocabulary):
    """A Llama of the system's dimensions."""
    block = system.trunk.blocks[0]
    attention, mlp = block.attention.inner, block.mlp.inner
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=attention.out.in_features,
        intermediate_size=mlp.down.in_features,
        num_hidden_layers=len(system.trunk.blocks),
        num_attention_heads=attention.split[0],
        num_key_value_heads=attention.split[1],
        max_position_embeddings=512,
        attn_implementation="sdpa",
        use_cache=False,
    )
    return LlamaForCausalLM(config)


def main():
    torch.manual_seed(0)
    system, world = build("chameleon"), World.easy()
    stage = replace(next(stage for stage in system.stages if stage.learner is None), batch=BATCH)
    thaw(system, stage)
    loader = Loader(system, stage, world, schedule(world, stage.mix), seed=0, number=1)
    batches = [loader.prepare(i * BATCH) for i in range(BATCHES)]
    theirs = [collate(tokens_of(system, laid)) for laid in batches]
    useful = sum(int(batch["attention_mask"].sum()) for batch in theirs)
    vocabulary = system.ports[0].reader.table.num_embeddings
    llama = llama_like(system, vocabulary)
    own, other = optimizer_for(system, stage, "adamw"), torch.optim.AdamW(llama.parameters(), lr=1e-3, fused=True)
    rows = []
    for precision in ("float32", "bfloat16"):
        autocast = lambda p=precision: torch.autocast("cpu", torch.bfloat16) if p == "bfloat16" else nullcontext()

        def ours_step(laid, autocast=autocast):
            with autocast():
                losses = system.losses_of(laid)
            sum(value / max(count, 1) for value, count in losses.values()).backward()
            own.step()
            own.zero_grad()

        def their_step(batch, autocast=autocast):
            with autocast():
                loss = llama(**batch).loss
            loss.backward()
            other.step()
            other.zero_grad()

        for step, batch in ((ours_step, batches[0]), (their_step, theirs[0])):
            step(batch)
        seconds = {"tessera": [], "transformers": []}
        for _ in range(ROUNDS):
            for name, step, data in (("tessera", ours_step, batches), ("transformers", their_step, theirs)):
                begun = time.perf_counter()
                for batch in data:
                    step(batch)
                seconds[name].append(time.perf_counter() - begun)
        speed = {name: useful / statistics.median(values) for name, values in seconds.items()}
        memory = {
            "tessera": peak_memory(lambda: ours_step(batches[0])),
            "transformers": peak_memory(lambda: their_step(theirs[0])),
        }
        ratio = statistics.median(b / a for a, b in zip(seconds["tessera"], seconds["transformers"], strict=True))
        rows.append(
            f"| {precision} | {speed['tessera']:,.0f} | {speed['transformers']:,.0f} | {ratio:.2f} | "
            f"{memory['tessera'] / 2**20:.0f} | {memory['transformers'] / 2**20:.0f} |"
        )
    head = [
        "| precision | tessera, useful tokens/s | Llama, useful tokens/s | ratio | tessera, peak MB of a step | Llama, peak MB |",
        "|---|---|---|---|---|---|",
    ]
    waste = 1 - useful / sum(batch["input_ids"].numel() for batch in theirs)
    note = (
        f"{BATCH} documents a batch, {useful / BATCH / BATCHES:.0f} places each on average; "
        f"padding is {100 * waste:.0f} % of Llama's batch. Medians of {ROUNDS} rounds, of the ratios too."
    )
    lines_to_page("train_step", "A training step beside a transformers Llama of the same dimensions", [note, "", *head, *rows])


if __name__ == "__main__":
    main()
