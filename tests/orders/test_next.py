import torch

from tessera.document import Document, Image
from tessera.draws import Draw
from tessera.laws.base import Drawn
from tessera.orders import Next
from tessera.orders.base import Ask, Context, Done, Pick, Seen, Writing

END = 9


def written(values, *, length=4, keep=(), stop=None, like=None):
    """Lets Next write while `values` are drawn in turn. Returns what it finished with, and all that it asked for."""
    like = torch.full((length,), -1) if like is None else like.clone()
    given = torch.zeros(length, dtype=torch.bool)
    given[list(keep)] = True
    before = Seen(torch.full((1, 1, 2), -1.0))
    loop = Next().write(Writing(before, like, given, torch.Generator(), stop))
    log, answer, values = [], None, iter(values)
    try:
        while True:
            request = loop.send(answer)
            if isinstance(request, Pick):
                log.append(("pick", float(request.seen.hidden[0, 0, 0])))
                answer = Drawn(torch.tensor([next(values)]), torch.ones(1))
            else:
                log.append(("show", request.start, request.visible.tolist(), request.commit, request.known))
                answer = Seen(torch.full((1, 1, 2), float(request.start)))
    except StopIteration as stopped:
        return stopped.value, log


def test_each_element_is_drawn_from_what_answers_before_it():
    done, log = written([3, 1, 4], length=3)
    assert isinstance(done, Done) and done.clean.tolist() == [3, 1, 4]
    assert log == [("pick", -1.0), ("show", 0, [3], True, 1 / 3), ("pick", 0.0), ("show", 1, [1], True, 2 / 3), ("pick", 1.0)]


def test_the_last_element_is_left_to_the_next_pass():
    done, _ = written([3, 1, 4], length=3)
    assert isinstance(done.rest, Ask)
    assert (done.rest.visible.tolist(), done.rest.start, done.rest.commit, done.rest.known) == ([4], 2, True, 1.0)


def test_what_is_given_is_shown_and_not_drawn():
    done, log = written([5, 6], keep=(0, 2), like=torch.tensor([7, -1, 8, -1]))
    assert done.clean.tolist() == [7, 5, 8, 6]
    assert [entry[:3] for entry in log] == [("show", 0, [7]), ("pick", 0.0), ("show", 1, [5]), ("show", 2, [8]), ("pick", 2.0)]


def test_text_ends_at_its_end():
    done, log = written([3, END], length=5, stop=END)
    assert done.clean.tolist() == [3, END] and done.rest.visible.tolist() == [END] and done.rest.start == 1
    assert [entry[0] for entry in log] == ["pick", "show", "pick"]


def test_text_at_its_greatest_length_is_closed_by_force():
    done, log = written([3, 1], length=3, stop=END)
    assert done.clean.tolist() == [3, 1, END] and [entry[0] for entry in log] == ["pick", "show", "pick", "show"]


def test_pictures_have_no_end():
    done, _ = written([END, END, 2], length=3)
    assert done.clean.tolist() == [END, END, 2]


def test_watchers_see_the_segment_grow():
    like = torch.zeros(3, dtype=torch.long)
    loop = Next().write(Writing(Seen(torch.zeros(1, 1, 2)), like, torch.zeros(3, dtype=torch.bool), torch.Generator()))
    assert isinstance(loop.send(None), Pick)
    ask = loop.send(Drawn(torch.tensor([5]), torch.ones(1)))
    assert ask.clean.tolist() == [5, 0, 0] and ask.clean is like
    ask.visible.zero_()  # what is shown is a copy
    assert like.tolist() == [5, 0, 0]


def test_what_is_learned_is_the_clean_segment_itself():
    clean, keep = torch.tensor([3, 1, 4]), torch.tensor([False, True, False])
    context = Context(Document((Image(learn=True),)), 0)
    visible, target, where, _ = Next().corrupt(clean, keep, context, Draw(0))
    assert torch.equal(visible, clean) and torch.equal(target, clean) and where.tolist() == [True, False, True]
    assert torch.equal(Next().reveal(clean), clean) and Next().lead == 1 and Next().shared
