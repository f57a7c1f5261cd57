"""Systems of ours as models of the harness lmms-eval: `lmms_eval --model tessera --model_args system=chameleon,level=easy`.

Written against lmms-eval 0.7.3, which finds `manifest` by its entry point; nothing of it is imported before it asks.
"""

from typing import Any


def manifest() -> Any:
    """What lmms-eval registers: where the model's class is, for tasks of messages and (--force_simple) of one context."""
    from lmms_eval.models.registry_v2 import ModelManifest  # type: ignore[import-not-found]

    return ModelManifest("tessera", simple_class_path="tessera.lmms_eval.models.Simple", chat_class_path="tessera.lmms_eval.models.Chat")
