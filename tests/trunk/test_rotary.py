import math

import pytest
import torch

from tessera.trunk import GridRotary, Rotary


def turned(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Features i and i + size / 2 as one complex number, multiplied by exp(i angle)."""
    real, imaginary = x.chunk(2, -1)
    product = torch.complex(real, imaginary) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([product.real, product.imag], -1)


def test_it_is_multiplication_by_complex_numbers(places):
    x = torch.randn(1, 3, 5, 8, dtype=torch.float64)
    where = places(order=[0, 1, 2, 9, 40])
    frequencies = torch.tensor([1.0, 0.1, 0.01, 0.001], dtype=torch.float64)  # theta ** -(pair / pairs)
    expected = turned(x, where.order[0, :, None] * frequencies)
    torch.testing.assert_close(Rotary(8)(where, torch.float64)(x), expected)


def test_several_axes_share_the_frequencies_in_turn(places):
    x = torch.randn(1, 2, 3, 12, dtype=torch.float64)
    where = places(order=[3, 4, 5], row=[0, 1, 1], column=[0, 0, 7])
    by_axis = [where.order[0], where.row[0], where.column[0]]
    angle = torch.stack([by_axis[pair % 3] * 100.0 ** (-pair / 6) for pair in range(6)], -1)
    rotary = Rotary(12, axes=("order", "row", "column"), theta=100.0)
    torch.testing.assert_close(rotary(where, torch.float64)(x), turned(x, angle))


def test_of_partial_rotary_only_a_portion_turns(places):
    """The pairs that turn do so as if there were no others."""
    x, where = torch.randn(1, 2, 5, 16, dtype=torch.float64), places(order=[0, 1, 2, 9, 40])
    full = Rotary(16, portion=0.5, theta=500.0)(where, torch.float64)(x)
    first, second = x.chunk(2, -1)
    alone = Rotary(8, theta=500.0)(where, torch.float64)(torch.cat([first[..., :4], second[..., :4]], -1))
    torch.testing.assert_close(full, torch.cat([alone[..., :4], first[..., 4:], alone[..., 4:], second[..., 4:]], -1))
    assert (full[0, :, 1:, :4] - x[0, :, 1:, :4]).abs().max() > 0.1


@pytest.mark.parametrize("axes", [("order",), ("order", "row", "column")])
def test_shifting_all_positions_changes_no_product(axes, places):
    rotary = Rotary(12, axes=axes)
    q, k = torch.randn(2, 1, 2, 6, 12, dtype=torch.float64).unbind()
    order, row, column = torch.tensor([0, 1, 1, 5, 6, 30]), torch.tensor([0, 0, 1, 1, 2, 2]), torch.arange(6)
    products = []
    for shift in (0, 1000):
        turn = rotary(
            places(order=order.tolist() if not shift else (order + shift).tolist(), row=row.tolist(), column=column.tolist()), torch.float64
        )
        products.append(turn(q) @ turn(k).transpose(-1, -2))
    torch.testing.assert_close(*products)
    assert (products[0] - q @ k.transpose(-1, -2)).abs().max() > 0.1  # the turn does something


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_far_places_keep_their_phase(dtype, places):
    far = 1_000_003
    turn = Rotary(64)(places(order=[far]), dtype)
    for pair in (0, 7, 31):
        angle = far * 10_000 ** (-pair / 32)
        assert turn.cos[0, 0, 0, pair] == torch.tensor(math.cos(angle), dtype=dtype)
        assert turn.sin[0, 0, 0, pair + 32] == torch.tensor(math.sin(angle), dtype=dtype)


def test_nothing_of_it_is_stored():
    assert not Rotary(8).state_dict() and not list(Rotary(8).parameters())


# ---------------------------------------------------------------- in a grid


class Eye:
    name, number = "eye", 3


GRID = {"order": [0, 1, 2, 3, 4, 5], "begins": [0, 0, 2, 2, 2, 5], "row": [0, 0, 0, 0, 1, 0], "column": [0, 0, 0, 1, 0, 0]}


def test_text_turns_as_in_one_dimension(places):
    text = places(order=[0, 1, 7, 30], begins=[0, 0, 7, 7])
    for one, other in zip(GridRotary(12)(text, torch.float64), Rotary(12)(text, torch.float64), strict=True):
        torch.testing.assert_close(one, other)


def test_a_grid_turns_by_its_rows_and_its_columns_from_where_it_begins(places):
    size, theta, scale = 8, 100.0, 1.5
    laid = places(**GRID, port=[0, 0, Eye.number, Eye.number, Eye.number, 0])
    turn = GridRotary(size, theta=theta, scale={Eye(): scale})(laid, torch.float64)
    for place, (order, begins, row, column) in enumerate(zip(*GRID.values(), strict=True)):
        for pair in range(4):
            inside = (row if pair < 2 else column) * scale * theta ** (-2 * (pair % 2) / (size / 2))
            angle = (begins if row or column else order) * theta ** (-2 * pair / size) + inside
            assert turn.cos[0, 0, place, pair].item() == pytest.approx(math.cos(angle))
            assert turn.sin[0, 0, place, pair + 4].item() == pytest.approx(math.sin(angle))


def test_shifting_all_positions_changes_no_product_with_a_grid(places):
    q, k = torch.randn(2, 1, 2, 6, 8, dtype=torch.float64).unbind()
    products = []
    for shift in (0, 1000):
        shifted = {name: [one + shift * (name in ("order", "begins")) for one in values] for name, values in GRID.items()}
        turn = GridRotary(8)(places(**shifted), torch.float64)
        products.append(turn(q) @ turn(k).mT)
    torch.testing.assert_close(*products)


def test_heads_must_have_pairs_for_rows_and_for_columns():
    with pytest.raises(ValueError, match="GridRotary: heads of 6 features; a multiple of 4"):
        GridRotary(6)
    assert not GridRotary(8).state_dict() and not list(GridRotary(8).parameters())


def test_frequencies_may_be_stretched(places):
    x, where = torch.randn(1, 2, 4, 8, dtype=torch.float64), places(order=[0, 4, 8, 40])
    nearer = Rotary(8, stretched=lambda frequency: frequency / 4)(where, torch.float64)(x)
    torch.testing.assert_close(nearer, Rotary(8)(places(order=[0, 1, 2, 10]), torch.float64)(x))
