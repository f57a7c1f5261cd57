import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from tessera.document import Task
from tessera.stages import Stage
from tessera.verbs import progress as module
from tessera.verbs.estimate import Estimate
from tessera.verbs.progress import PATIENCE, Progress

ESTIMATE = Estimate(60.0, 48.0, 1000.0)


def stage(name: str = "joint", documents: int = 1000) -> Stage:
    return Stage(name, train=(), documents=documents, mix={Task.DRAW: 1.0})


@pytest.fixture
def clock(monkeypatch):
    """Time as the view sees it: `clock.now`, in seconds, which stands still unless it is set."""
    hand = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: hand.now))
    return hand


@pytest.fixture
def page(monkeypatch):
    """What is printed where there is no terminal: the lines so far."""
    file = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda: Console(file=file, width=200))
    return lambda: file.getvalue().splitlines()


@pytest.fixture
def screen(monkeypatch):
    """What is printed on a terminal, without its colours."""
    file = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda: Console(file=file, width=160, force_terminal=True))
    return lambda: re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())


# ---------------------------------------------------------------- where there is no terminal


def test_a_stage_begins_with_what_it_will_cost(page, clock):
    with Progress("chameleon") as progress:
        progress.begin(stage(documents=100_000), 0, ESTIMATE)
    assert page() == [f"chameleon: stage joint, 100,000 documents: {ESTIMATE}"]


def test_a_line_comes_now_and_then_and_at_the_end(page, clock):
    progress = Progress("chameleon")
    progress.begin(stage(), 0, ESTIMATE)
    for seconds, documents in ((1, 100), (PATIENCE, 200), (PATIENCE + 1, 300), (PATIENCE + 2, 400), (2 * PATIENCE + 2, 500), (50, 1000)):
        clock.now = 100.0 + seconds
        progress.update(documents, {"text": 1.0})
    told = [line.split(" documents")[0] for line in page()[1:]]
    assert told == ["chameleon: 300 of 1,000", "chameleon: 500 of 1,000", "chameleon: 1,000 of 1,000"]


def test_a_line_tells_speed_time_left_and_losses(page, clock):
    progress = Progress("chameleon")
    progress.begin(stage(documents=4000), 0, ESTIMATE)
    clock.now += 20
    progress.update(1000, {"text": 1.23456, "image": 0.5})
    assert page()[-1] == "chameleon: 1,000 of 4,000 documents, 50/s, 60 s left; loss: text 1.2346, image 0.5000"


def test_speed_is_that_since_the_run_went_on(page, clock):
    progress = Progress("chameleon")
    progress.begin(stage(documents=4000), 3000, ESTIMATE)
    clock.now += 20
    progress.update(3200, {"text": 1.0})
    assert "3,200 of 4,000 documents, 10/s, 80 s left" in page()[-1]


def test_each_stage_has_its_own_speed_and_end(page, clock):
    progress = Progress("chameleon")
    progress.begin(stage("codec", 100), 0, ESTIMATE)
    clock.now += 1
    progress.update(100, {"pixels": 0.25})
    clock.now += 1
    progress.begin(stage("joint", 200), 0, ESTIMATE)
    clock.now += 2
    progress.update(200, {"text": 2.0})
    assert page()[1].startswith("chameleon: 100 of 100 documents, 100/s, 0 s left; loss: pixels 0.2500")
    assert page()[2].startswith("chameleon: stage joint, 200 documents")
    assert page()[3].startswith("chameleon: 200 of 200 documents, 100/s, 0 s left; loss: text 2.0000")


def test_scores_are_told_at_once(page, clock):
    progress = Progress("chameleon")
    progress.begin(stage(), 0, ESTIMATE)
    progress.score({"drawing.overall": 0.5, "questions.overall": 1 / 3})
    assert page()[-1] == "chameleon: scores: drawing.overall 0.500, questions.overall 0.333"
    progress.score({})
    assert len(page()) == 2, "where nobody judges there is nothing to tell"


def test_a_line_is_one_line_however_long(capsys, clock):
    with Progress("chameleon") as progress:
        progress.say("the source does not offer edit; the mix is draw 0.4, caption 0.2, question 0.3, text 0.1, and that is all of it")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_what_is_said_is_printed_as_it_is(page, clock):
    Progress("my_lab:chimera[small]").say("mix [draw] /red]")
    assert page() == ["my_lab:chimera[small]: mix [draw] /red]"]


# ---------------------------------------------------------------- on a terminal


def test_a_terminal_shows_bars_losses_and_scores_instead_of_lines(screen, clock):
    with Progress("chameleon") as progress:
        progress.begin(stage("codec", 400), 0, ESTIMATE)
        clock.now += 60
        progress.update(100, {"pixels": 0.25})
        progress.score({"drawing.overall": 0.75})
    shown = screen()
    assert "chameleon: stage codec, 400 documents: about 60 s" in shown
    assert "100/400" in shown and "2 documents/s" in shown and "pixels 0.2500" in shown and "drawing.overall 0.75" in shown
    assert "100 of 400" not in shown and "scores: " not in shown


def test_a_terminal_shows_earlier_stages_as_done(screen, clock):
    with Progress("chameleon") as progress:
        progress.begin(stage("codec", 400), 0, ESTIMATE)
        clock.now += 1
        progress.update(390, {"pixels": 0.25})
        progress.begin(stage("joint", 90), 45, ESTIMATE)
    last = screen().rstrip().splitlines()[-2:]
    assert last[0].startswith("codec") and "400/400" in last[0]
    assert last[1].startswith("joint") and "45/90" in last[1]
    assert "pixels" not in "".join(last), "losses belong to their stage"


def test_a_terminal_is_given_back_after_a_fault(screen, clock):
    with pytest.raises(OSError, match="a row that cannot be read"), Progress("chameleon") as progress:
        progress.begin(stage(), 0, ESTIMATE)
        raise OSError("a row that cannot be read")
    assert not progress._live.is_started
