"""Names of MonoFormer's weights: Llama's, what reads noisy pictures and their time, and DiT's last layer."""

from tessera.hub.names import Names

READER: Names = {
    "clock.up": "t_embedder.mlp.0",
    "clock.out": "t_embedder.mlp.2",
    "front.*": "t_projector.*",
    "embed": "x_embedder",
}
WRITER: Names = {"adapt": "final_layer.adaLN_modulation.1", "out": "final_layer.linear"}
