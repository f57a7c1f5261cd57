"""Transfusion with the halves of a U-Net around the trunk, and the noise of a diffusion, as in the paper."""

from tessera.system import System
from tessera.systems import transfusion

PRESETS = {"tiny": {}}


def transfusion_unet() -> System:
    """Skips and times go round the trunk."""
    return transfusion.transfusion(**{**transfusion.PRESETS["tiny"], "vae": (16, 4, 4, 2), "unet": 8, "flow": False})
