"""Names of MetaMorph's weights: Llama's, a projector of what the eye sees, and a head of three layers that says it."""

from tessera.hub.names import Names

PROJECTOR: Names = {"*": "model.mm_projector.*"}
HEAD: Names = {"before.*": "vision_head.*", "out": "vision_head.4"}
