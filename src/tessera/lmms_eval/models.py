"""The classes that lmms-eval makes its models from."""

from pathlib import Path
from typing import Any

from lmms_eval.api.model import lmms  # type: ignore[import-not-found]

from tessera.cli.app import trained
from tessera.lmms_eval.answering import Answers, rows_of
from tessera.lmms_eval.asking import Read, chat, simple


def model(name: str, read: Read) -> type:
    """The class of models that read requests in this way."""

    class Model(lmms):
        """A trained system: shipped weights by `system` and `level`, or those of a `run`. It answers in one process.

        `want` is text, picture or both; pictures go into the folder `out`.
        """

        is_simple = read is simple

        def __init__(
            self,
            system: str = "",
            run: str | None = None,
            level: str = "easy",
            device: str = "auto",
            batch_size: int | str = Answers.rows,
            want: str = Answers.want,
            out: str | None = None,
            seed: int = Answers.seed,
        ):
            super().__init__()
            loaded = trained(system, Path(run) if run else None, level, device)
            self.answers = Answers(loaded, want, Path(out) if out else None, seed, rows_of(batch_size))

        def generate_until(self, requests: list[Any]) -> list[str]:
            return self.answers([request.args for request in requests], read, self.task_dict)

        def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
            raise NotImplementedError("lmms_eval: a task of several rounds; tasks that ask once are accepted; choose another task")

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            raise NotImplementedError(
                "lmms_eval: a task that compares likelihoods; lmms-eval 0.7.3 makes text of the numbers before it compares them, so "
                "tasks that generate are accepted; choose one"
            )

    Model.__name__ = Model.__qualname__ = name
    return Model


Simple = model("Simple", simple)
Chat = model("Chat", chat)
