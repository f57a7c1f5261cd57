"""Next: one element after another, each predicted from the place before it."""

from jaxtyping import Bool
from torch import Tensor

from tessera.draws import Draw
from tessera.orders.base import Ask, Context, Coroutine, Corrupted, Done, Pick, Writing


class Next:
    """Autoregression. What is seen while learning is the clean segment itself, which later segments read too."""

    lead, shared = 1, True

    def corrupt(self, clean: Tensor, keep: Bool[Tensor, "element"], context: Context, draw: Draw) -> Corrupted:
        """Nothing is hidden but by the causal rule; all that is not given is learned."""
        return Corrupted(clean, clean, ~keep)

    def reveal(self, clean: Tensor) -> Tensor:
        """A given segment as the trunk sees it."""
        return clean

    def write(self, w: Writing) -> Coroutine:
        """Draw an element, show it, go on. The last one is left for the pass that comes next anyway.

        A text that reaches its greatest length is closed by force.
        """
        clean, seen, given = w.like, w.before, w.keep.tolist()
        last = len(given) - 1
        for i in range(last + 1):
            if w.stop is not None and i == last:
                clean[i] = w.stop
            elif not given[i]:
                clean[i] = (yield Pick(seen)).value[0]
            shown = Ask(clean[i : i + 1].clone(), start=i, commit=True, clean=clean, known=(i + 1) / (last + 1))
            if i == last or (w.stop is not None and int(clean[i]) == w.stop):
                return Done(clean[: i + 1], shown)
            seen = yield shown
        raise AssertionError("an empty segment cannot be written")
