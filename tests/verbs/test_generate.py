import pytest
import torch

from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.system import System
from tessera.verbs.events import PictureFinished, PicturePart, PictureStarted, TextPiece
from tessera.verbs.generate import generate, requests_for, stream, write
from tessera.verbs.writing import Request, Written

ANY = {Text: Sampling(temperature=1.0)}  # texts that differ from seed to seed


@pytest.fixture
def system(tiny) -> System:
    return tiny()


def kinds(written: Written) -> list[tuple[type, bool]]:
    return [(type(segment), segment.learn) for segment in written.document]


def same(one: Written, other: Written) -> bool:
    return len(one.clean) == len(other.clean) and all(torch.equal(a, b) for a, b in zip(one.clean, other.clean, strict=True))


# ---------------------------------------------------------------- what can be asked


def test_a_prompt_is_a_text_or_segments_or_a_document(system):
    given = Text("a red circle")
    forms = ["a red circle", [given], (given,), Document((given,))]
    texts, *others = (generate(system, prompt, want=Image, seed=3) for prompt in forms)
    assert kinds(texts) == [(Text, False), (Image, True)] and texts.document[0].content == "a red circle"
    assert all(same(texts, other) for other in others)


def test_what_is_wanted_is_a_kind_or_several_or_a_blank_in_the_prompt(system):
    given = Text("a red circle")
    one, *others = (
        generate(system, [given], want=Image, seed=3),
        generate(system, [given], want=[Image], seed=3),
        generate(system, [given, Image(learn=True)], seed=3),
        generate(system, Document((given, Image(learn=True))), seed=3),
    )
    assert all(same(one, other) and kinds(one) == kinds(other) for other in others)


def test_kinds_wanted_come_in_their_order_behind_the_blanks_of_the_prompt(system):
    written = generate(system, [Text("a"), Image(learn=True), Text("b")], want=(Text, Image, Text), longest=6)
    assert kinds(written) == [(Text, False), (Image, True), (Text, False), (Text, True), (Image, True), (Text, True)]
    assert len(written.pictures) == len(written.texts) == 2
    assert all(picture.dtype == torch.uint8 and picture.shape == (3, 8, 8) for picture in written.pictures)
    assert [segment.content for segment in written.document if not segment.learn] == ["a", "b"]
    assert all(segment.content is not None for segment in written.document)


def test_a_document_may_begin_with_what_is_written(system):
    assert len(generate(system, [], want=Image).pictures) == 1
    assert len(generate(system, [], want=(Text, Image), longest=4).texts) == 1


def test_given_pictures_are_read_and_left_as_they_are(system, pictures):
    said = [generate(system, [Image(picture), Text("what is it?")], want=Text, sampling=ANY, longest=8) for picture in pictures[:2]]
    assert all(torch.equal(one.document.pictures[0], picture) for one, picture in zip(said, pictures, strict=False))
    assert said[0].texts != said[1].texts and said[0].pictures == []


def test_with_nothing_to_write_there_is_nothing_to_do(system):
    for prompt, count in (("a red circle", 1), ([], 0), ([Text("a"), Text("b")], 2)):
        with pytest.raises(ValueError, match=rf"generate: {count} given segments and nothing to write; .* say want=Image"):
            generate(system, prompt)


def test_the_seed_decides_what_is_written(system):
    ask = lambda seed: generate(system, "a red circle", want=(Image, Text), sampling=ANY, seed=seed, longest=12)
    assert same(ask(4), ask(4)) and not same(ask(4), ask(5))
    torch.manual_seed(9)  # a global generator that stands elsewhere changes nothing
    assert same(ask(4), ask(4))


def test_sampling_is_by_kind(system):
    likeliest, drawn = Sampling(temperature=0.0), Sampling(temperature=1.0)

    def ask(seed: int, sampling) -> Written:
        return generate(system, "x", want=(Text, Image), sampling=sampling, seed=seed, longest=8)

    assert same(ask(1, {Image: likeliest}), ask(2, {Image: likeliest}))  # the recipe takes the likeliest of texts by itself
    assert not same(ask(1, {}), ask(2, {}))
    one, other = (ask(seed, {Text: drawn, Image: likeliest}) for seed in (1, 2))
    assert not torch.equal(one.clean[1], other.clean[1])


@pytest.mark.parametrize("longest", [1, 2, 7])
def test_no_text_is_longer_than_asked(system, longest):
    system.text.law.allowed = torch.tensor([500, 600])  # it never ends by itself
    written = generate(system, "say", want=(Text, Image, Text), longest=longest)
    lengths = [len(clean) for clean, segment in zip(written.clean, written.document, strict=True) if segment.learn]
    assert lengths == [longest, 4, longest], "pictures are as long as they are"
    assert all(clean[-1] == system.markers.end for clean in (written.clean[1], written.clean[3]))
    assert (longest == 1) == (written.texts == ["", ""])


def test_a_text_ends_where_the_model_says_so(system):
    with torch.no_grad():
        system.text.writer.out.weight[:] = 0  # all ids are as likely
    system.text.law.allowed = torch.tensor([5, system.markers.end])
    lengths = [len(w.clean[1]) for w in write(system, [Request(Document((Text("x"), Text(learn=True))), s, ANY, 20) for s in range(12)])]
    assert len(set(lengths)) > 3 and max(lengths) < 20


def test_guidance_needs_a_system_that_was_trained_for_it(system):
    guided, plain = {Image: Sampling(guidance=3.0)}, {Image: Sampling(guidance=1.0)}
    assert generate(system, "a star", want=Image, sampling=guided).pictures
    system.drop = None
    with pytest.raises(ValueError, match=r"chameleon: guidance 3.0; it was trained without dropping prompts, so only 1 is accepted"):
        generate(system, "a star", want=Image, sampling=guided)
    assert generate(system, "a star", want=Image, sampling=plain).pictures


def test_a_picture_of_another_size_is_refused(system):
    with pytest.raises(ValueError, match=r"picture: torch.uint8 of shape \(3, 16, 16\); torch.uint8 of shape \(3, 8, 8\) is accepted"):
        generate(system, [Image(torch.zeros(3, 16, 16, dtype=torch.uint8))], want=Text)


def test_what_was_written_can_be_learned_from(system):
    written = generate(system, "a star", want=(Image, Text), sampling=ANY, longest=8)
    assert not any(clean.is_inference() for clean in written.clean[1:]) and not written.pictures[0].is_inference()
    losses = system.losses_of(system.arrange([written.document], [Draw(0)], [written.clean]))
    sum(total for total, _ in losses.values()).backward()
    assert losses["image"][1] == 4 and system.trunk.norm.weight.grad.abs().sum() > 0


# ---------------------------------------------------------------- many at once


def test_requests_are_answered_in_their_order_however_many_fit_beside_each_other(system):
    requests = [Request(Document((Text(f"number {i}"), Text(learn=True))), i, ANY, 4 + i) for i in range(5)]
    together = write(system, requests)
    assert [one.document.texts[0] for one in together] == [f"number {i}" for i in range(5)]
    for rows in (1, 2, 5):
        assert all(same(a, b) for a, b in zip(together, write(system, requests, rows=rows), strict=True))
    assert write(system, []) == []


def test_what_is_written_keeps_task_and_name_of_its_document(system):
    (one,) = write(system, [Request(Document((Text("x"), Text(learn=True)), task=Task.CAPTION, id="abc"), longest=3)])
    assert (one.document.task, one.document.id) == (Task.CAPTION, "abc")


def test_requests_leave_blank_what_is_to_be_learned(system, pictures):
    keep = torch.zeros(8, 8, dtype=torch.bool)
    keep[:4] = True
    learned, given, partly = Image(pictures[0], learn=True), Image(pictures[1]), Image(pictures[2], learn=True, keep=keep)
    documents = [Document((Text("a"), learned), task=Task.DRAW, id="one"), Document((given, partly, Text("b", learn=True)), id="two")]
    requests = requests_for(documents, seed=3, sampling=ANY, longest=9)
    first, second = (request.document for request in requests)
    assert first[0].content == "a" and first[1].content is None and first[1].learn and (first.task, first.id) == (Task.DRAW, "one")
    assert second[0] is given and second[1] is partly and second[2].content is None and second.id == "two"
    assert all(request.sampling == ANY and request.longest == 9 for request in requests)
    seeds = {request.seed for seed in (3, 4) for request in requests_for(documents * 2, seed=seed)}
    assert len(seeds) == 8, "each document has a seed of its own"
    assert documents[0][1] is learned and learned.content is not None


# ---------------------------------------------------------------- what a watcher is told


def told(system, requests, **how) -> list[list]:
    """What happened to each request, in order, its end with it."""
    rows: list[list] = [[] for _ in requests]
    for i, what in stream(system, requests, **how):
        assert isinstance(what, Written) or what.row == i
        rows[i].append(what)
    return rows


def request(*segments, seed: int = 0, longest: int = 12) -> Request:
    return Request(Document(segments), seed, ANY, longest)


def test_a_picture_is_begun_and_grows_and_is_finished(system):
    (events,) = told(system, [request(Text("a star"), Image(learn=True))])
    assert [type(event) for event in events] == [PictureStarted, *[PicturePart] * 4, PictureFinished, Written]
    assert [event.known for event in events[1:5]] == [0.25, 0.5, 0.75, 1.0]
    assert {event.segment for event in events[:-1]} == {1}
    clean = events[-1].clean[1]
    for n, part in enumerate(events[1:5], 1):
        assert torch.equal(part.clean[:n], clean[:n]) and (part.clean[n:] == system.text.codec.size).all()  # the first code: blank
    assert torch.equal(events[4].picture(), events[5].picture) and torch.equal(events[5].picture, events[-1].pictures[0])


@pytest.mark.parametrize("seed", range(4))
def test_pieces_of_a_text_make_up_the_text(system, seed):
    (events,) = told(system, [request(Text("say"), Text(learn=True), seed=seed, longest=40)])
    *pieces, written = events
    assert all(isinstance(piece, TextPiece) and piece.segment == 1 and piece.text for piece in pieces)
    assert "".join(piece.text for piece in pieces) == written.texts[0] and len(pieces) > 5


def test_a_character_of_several_bytes_is_told_whole(system):
    system.text.law.allowed = torch.tensor([*system.text.codec.encode(["星 ★ 🌟"]).clean[0].tolist(), system.markers.end])
    requests = [request(Text("say"), Text(learn=True), seed=seed, longest=60) for seed in range(6)]
    for *pieces, written in told(system, requests):
        assert "".join(piece.text for piece in pieces) == written.texts[0]
        assert not any(piece.text.endswith("\ufffd") for piece in pieces[:-1]), "broken ends wait for what may mend them"


def test_segments_are_told_one_after_another(system):
    asked = request(Text("draw"), Image(learn=True), Text("and say"), Text(learn=True), Image(learn=True))
    (events,) = told(system, [asked])
    numbers = [event.segment for event in events[:-1]]
    assert numbers == sorted(numbers) and set(numbers) == {1, 3, 4}
    pieces = [event.text for event in events if isinstance(event, TextPiece)]
    assert "".join(pieces) == events[-1].texts[0]
    assert [event.segment for event in events if isinstance(event, PictureStarted)] == [1, 4]


def test_rows_are_told_as_they_would_be_alone(system):
    requests = [request(Text("say"), Text(learn=True), seed=i, longest=3 + 5 * i) for i in range(3)]
    requests.insert(1, request(Text("draw"), Image(learn=True), seed=9))
    for rows in (64, 2):
        for i, events in enumerate(told(system, requests, rows=rows)):
            (alone,) = told(system, [requests[i]])
            facts = lambda event: {k: v for k, v in vars(event).items() if isinstance(v, int | float | str) and k != "row"}
            assert [(type(event), facts(event)) for event in events] == [(type(event), facts(event)) for event in alone]
            assert same(events[-1], alone[-1])


def test_rows_take_turns(system):
    requests = [request(Text("say"), Text(learn=True), seed=i, longest=6) for i in range(2)]
    rows = [i for i, what in stream(system, requests) if isinstance(what, TextPiece)]
    assert rows != sorted(rows), "each is told what happens while the other is still being written"


def test_who_is_done_makes_room_for_the_next(system):
    system.text.law.allowed = torch.tensor([500, 600])  # no text ends by itself
    requests = [request(Text("say"), Text(learn=True), longest=longest) for longest in (12, 2, 3, 2)]
    assert [i for i, what in stream(system, requests, rows=2) if isinstance(what, Written)] == [1, 2, 3, 0]


def test_who_does_not_watch_is_told_the_end_only(system):
    requests = [request(Text("draw"), Image(learn=True), Text(learn=True), seed=i) for i in range(2)]
    watched, unwatched = told(system, requests), told(system, requests, watched=False)
    assert [len(events) for events in unwatched] == [1, 1]
    assert all(same(a[-1], b[-1]) for a, b in zip(watched, unwatched, strict=True))


def test_a_system_is_left_in_its_mode_even_by_who_stops_listening(system):
    system.train()
    system.text.eval()
    events = stream(system, [request(Text("draw"), Image(learn=True))])
    assert isinstance(next(events)[1], PictureStarted) and not system.training
    events.close()
    assert system.training and not system.text.training


def test_steps_can_be_watched_with_what_the_trunk_says(system):
    seen = []
    (written,) = write(system, [request(Text("a star"), Image(learn=True))], watch=lambda step, hidden: seen.append((step, hidden)))
    assert all(hidden.shape == (sum(piece.count for piece in step.pieces), 16) for step, hidden in seen)
    assert {step.branch.row for step, _ in seen} == {0, 1}, "the recipe draws under guidance, in two rows"
    first = [step for step, _ in seen if step.branch.row == 0]
    assert [len(step.pieces) for step in first] == [3, 1, 1, 1], "all that is given at once, then a code at a time but the last"
    assert written.pictures


def test_a_given_segment_without_content_is_refused(tiny):
    said = r"chameleon: segment 0 of a document is given and has no content; (Text|Image)\(content\), or "
    for document in (Document((Text(), Image(learn=True))), Document((Image(None), Text(learn=True)))):
        with pytest.raises(ValueError, match=said):
            generate(tiny(), document)
