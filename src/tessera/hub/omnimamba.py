"""Names of OmniMamba's weights: a state-space trunk with adapters by task, and tables and projectors of its own."""

from tessera.hub.names import Names

TASKS = ("mmu", "t2i")  # which adapter is which, in the order of ours
TRUNK: Names = {
    "norm": "norm_f",
    "blocks.*.norm": "layers.*.norm",
    "blocks.*.mixer.log_decay": "layers.*.mixer.A_log",
    "blocks.*.mixer.skip": "layers.*.mixer.D",
    "blocks.*.mixer.conv": "layers.*.mixer.conv1d",
    "blocks.*.mixer.step_bias": "layers.*.mixer.dt_bias",
    "blocks.*.mixer.into.linear": "layers.*.mixer.in_proj",
    **{f"blocks.*.mixer.into.down.{i}": f"layers.*.mixer.in_proj.{task}_lora_A0" for i, task in enumerate(TASKS)},
    **{f"blocks.*.mixer.into.up.{i}": f"layers.*.mixer.in_proj.{task}_lora_B0" for i, task in enumerate(TASKS)},
    "blocks.*.mixer.into": "layers.*.mixer.in_proj",
    "blocks.*.mixer.norm": "layers.*.mixer.norm",
    "blocks.*.mixer.out": "layers.*.mixer.out_proj",
}
"""Without adapters it is Mamba-2's."""

CODES: Names = {"*": "img_embeddings.project_in.projector.*"}
CAPTIONS: Names = {"0": "caption_embed.cap_proj.fc1", "2": "caption_embed.cap_proj.fc2"}
