import pytest
@pytest.mark.parametrize("i", range(2000))
def test_x(i):
    pass
