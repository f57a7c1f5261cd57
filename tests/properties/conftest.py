"""Properties are stated in float64, for every system there is."""

import pytest
import torch
from properties.harness import Case, cases, shared


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(params=cases(), ids=str)
def case(request) -> Case:
    return request.param


@pytest.fixture
def system(case):
    """Not to be changed; a test that changes a system asks for `case.fresh()`."""
    return shared(case)
