"""The dial of hallucination: who learned in a world that leans says what usually goes together, and POPE sees it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tessera.exams import Pope
from tessera.world import STANDARD, World
from tessera.world.bias import Bias
from tessera.world.hallucination import shown

NOISE, SCENES, STEPS, QUESTIONS = 0.3, 8000, 700, 1000


class Guesser:
    """A small network that is asked which kinds a noisy picture shows; of each scene it learns one that is there and one that is not."""

    def __init__(self, world: World):
        torch.manual_seed(0)
        self.kinds = list(world.level.kinds)
        convolutions = [layer for inputs in (3, 32, 32) for layer in (nn.Conv2d(inputs, 32, 3, 2, 1), nn.ReLU())]
        self.net = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, len(self.kinds)))
        scenes = [world.scene(i) for i in range(SCENES)]
        pictures = torch.stack([world.picture(scene) for scene in scenes])
        there = torch.tensor([[kind in shown(scene) for kind in self.kinds] for scene in scenes]).float()
        optimizer = torch.optim.Adam(self.net.parameters(), 2e-3)
        for _ in range(STEPS):
            some = torch.randint(SCENES, (64,))
            says = self.logits(pictures[some], torch.randn(64, 3, 32, 32))
            yes, no = (says.gather(1, torch.multinomial(kinds + 1e-9, 1)) for kinds in (there[some], 1 - there[some]))
            loss = functional.softplus(-yes).mean() + functional.softplus(no).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def logits(self, pictures: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self.net(pictures.float() / 127.5 - 1 + NOISE * noise)


@torch.no_grad()
def accuracies(topic: float) -> dict[str, float]:
    """POPE of a guesser that was trained in the same world."""
    world = World(STANDARD, bias=Bias(alpha=0.7, topic=topic))
    with torch.enable_grad():
        guesser = Guesser(world)
    exam = Pope(world, QUESTIONS)
    noise = torch.randn(len(exam.cases) // 3, 3, 32, 32, generator=torch.Generator().manual_seed(1))  # the same in all three modes
    says = guesser.logits(torch.stack([case.prompt[0].content for case in exam.cases]), noise.repeat(3, 1, 1, 1)) > 0
    answers = ["yes" if says[i, guesser.kinds.index(probe.kind)] else "no" for i, (_, probe) in enumerate(exam.asked)]
    found = exam.report(answers).scores
    return {mode: found[f"pope.{mode}.accuracy"].value for mode in ("random", "popular", "adversarial")}


@pytest.mark.slow
def test_company_makes_a_small_model_see_what_is_not_there():
    leaning = accuracies(0.9)
    assert leaning["random"] - leaning["adversarial"] >= 0.04 and leaning["popular"] > leaning["adversarial"]


@pytest.mark.slow
def test_without_company_what_is_popular_is_all_there_is():
    even = accuracies(0.0)
    assert abs(even["popular"] - even["adversarial"]) <= 0.01
