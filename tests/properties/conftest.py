"""Properties are stated in float64, for every system there is.

Types and shapes are checked in the first test of each file that a system is put to; the others call the same functions, thousands of
times, and checking takes longer than they do.
"""

import pytest
import torch
from jaxtyping import config
from properties.harness import Case, cases, shared


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


CHECKED: set[tuple[str, str]] = set()


@pytest.fixture(params=cases(), ids=str)
def case(request) -> Case:
    put = (request.module.__name__, str(request.param))
    config.update("jaxtyping_disable", put in CHECKED)
    CHECKED.add(put)
    return request.param


@pytest.fixture
def system(case):
    """Not to be changed; a test that changes a system asks for `case.fresh()`."""
    return shared(case)
