"""What fine-tuning Janus-Pro-1B takes, as `tessera train --estimate` says of its sizes (from memory). Run: python bench/memory.py"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tessera.codecs import Markers
from tessera.codecs.text import train_bpe
from tessera.verbs.tables import put

PAGE = Path(__file__).parent.parent / "docs" / "hub.md"
NAME = "Janus-Pro-1B"
TEXT = {
    "model_type": "llama", "vocab_size": 102_400, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
    "num_attention_heads": 16, "num_key_value_heads": 16, "eos_token_id": 3,
}  # fmt: skip
EYE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 384, "patch_size": 16, "mlp_ratio": 4.0,
    "projection_dim": 2048, "depth": 2,
}  # fmt: skip
CODES = {
    "embed_dim": 8, "num_embeddings": 16_384, "latent_channels": 256, "base_channels": 128, "channel_multiplier": [1, 1, 2, 2, 4],
    "num_res_blocks": 2, "projection_dim": 2048, "num_hidden_layers": 2, "image_token_embed_dim": 2048,
}  # fmt: skip
CONFIG = {
    "model_type": "janus", "dtype": "bfloat16", "tie_word_embeddings": False, "text_config": TEXT, "vision_config": EYE, "vq_config": CODES,
}  # fmt: skip
WAYS = {"adapters of rank 16 in bfloat16": ("--lora", "16"), "everything but the codec in float32": ()}


def describe(folder: Path) -> None:
    """The configuration, and a small tokenizer in place of the published one: texts are counted in ids."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    made = train_bpe(["a fox in the snow"], 300, markers=Markers("<s>", "<pad>", "<unk>", "</s>"))
    made.add_special_tokens(["<begin_of_image>", "<end_of_image>", "<image_placeholder>"])
    made.save(str(folder / "tokenizer.json"))


def main() -> None:
    """Ask the command, and put what it says on the page."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        describe(Path(place) / NAME)
        for what, options in WAYS.items():
            command = ["train", "--from", NAME, *options, "--estimate"]
            env = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
            done = subprocess.run(
                [sys.executable, "-m", "tessera", *command], cwd=place, env=env, capture_output=True, text=True, check=True
            )
            lines += [f"`tessera {' '.join(command)}`: {what}.", "", "```", done.stdout.strip(), "```", ""]
    put(PAGE, "memory", "\n".join(lines).strip())


main()
