"""Weights may be on an accelerator: documents are made on the CPU, and what meets there has been brought there."""

from contextlib import nullcontext

import torch
from properties.accelerator import Accelerator, Far, moved
from properties.harness import blank, draws, kinds, pictured, rich, shared

from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.verbs.generate import advance
from tessera.verbs.passes import passes_of
from tessera.verbs.writing import Author, Request


def test_it_learns_on_an_accelerator_what_it_learns_on_the_cpu(case):
    some, found = [*rich(shared(case)), *pictured(shared(case))[:1]], []
    for there in (False, True):
        system = case.fresh()
        with Accelerator() if there else nullcontext():
            losses = (moved(system) if there else system).losses(some, [Draw(3, i) for i in range(len(some))])
            sum(total / count for total, count in losses.values() if count).backward()
        assert all(isinstance(total, Far) is there for total, count in losses.values() if count)
        gradients = [parameter.grad for parameter in system.parameters() if parameter.grad is not None]
        found.append([one.near if there else one for one in gradients])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_it_writes_on_an_accelerator_what_it_writes_on_the_cpu(case):
    found = []
    for there in (False, True):
        system = case.fresh()
        some = [blank(one) for one in rich(system)]
        sampling = {kind: Sampling(guidance=1.5 if system.drop else 1.0, steps=2) for kind in kinds(system) if draws(system, kind)}
        with Accelerator() if there else nullcontext(), torch.no_grad():
            passes = passes_of(moved(system) if there else system, 2 * len(some))
            authors = [Author(system, Request(one, 7, sampling, longest=4), passes) for one in some]
            written = dict(advance(system, authors, passes, len(some)))
        found.append([clean for i in range(len(some)) for clean in written[i].clean])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
