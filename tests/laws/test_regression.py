import pytest
import torch

from tessera.draws import Draw, Streams
from tessera.laws import Regression, Sampling, cosine_distance
from tessera.orders import Seen
from tessera.writers import LinearWriter


def streams(n):
    return Streams([torch.Generator()], [n], torch.zeros(1))


def test_the_loss_is_the_mean_square_over_features():
    writer, hidden, wanted = LinearWriter(4, 3), torch.randn(5, 4), torch.randn(5, 3)
    loss = Regression().loss(writer, hidden, None, wanted, Regression().noise(wanted, Draw(0)))
    torch.testing.assert_close(loss, ((writer(hidden) - wanted) ** 2).mean(1))


def test_least_squares_finds_what_a_closed_form_finds():
    rng = torch.Generator().manual_seed(0)
    hidden, wanted = torch.randn(50, 4, generator=rng), torch.randn(50, 3, generator=rng)
    writer = LinearWriter(4, 3)
    optimizer = torch.optim.LBFGS(writer.parameters(), max_iter=100, tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        loss = Regression().loss(writer, hidden, None, wanted, None).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(writer.out.weight.T, torch.linalg.lstsq(hidden, wanted).solution, rtol=1e-3, atol=1e-4)


def test_the_cosine_knows_directions_only():
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    other = torch.tensor([[5.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    assert cosine_distance(one, other).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("unit", [False, True])
def test_what_is_drawn_is_what_is_predicted_guided(unit):
    writer, hidden = LinearWriter(4, 3), torch.randn(2, 5, 4)
    drawn = Regression(unit=unit).draw(writer, Seen(hidden), Sampling(guidance=3.0), streams(5))
    asked, dropped = writer(hidden)
    guided = dropped + 3 * (asked - dropped)
    torch.testing.assert_close(drawn.value, guided / guided.norm(dim=-1, keepdim=True) if unit else guided)


def test_what_is_said_beyond_the_target_is_drawn_and_not_learned():
    writer, hidden, wanted = LinearWriter(4, 6), torch.randn(5, 4), torch.randn(5, 3)
    loss = Regression().loss(writer, hidden, None, wanted, None)
    torch.testing.assert_close(loss, ((writer(hidden)[:, :3] - wanted) ** 2).mean(1))
    assert Regression().draw(writer, Seen(hidden[None]), Sampling(), streams(5)).value.shape == (5, 6)


def test_guidance_moves_the_first_features():
    writer, hidden = LinearWriter(4, 6), torch.randn(2, 5, 4)
    value = Regression(guided=2).draw(writer, Seen(hidden), Sampling(guidance=3.0), streams(5)).value
    asked, dropped = writer(hidden)
    torch.testing.assert_close(value, torch.cat([(dropped + 3 * (asked - dropped))[:, :2], asked[:, 2:]], 1))
    alone = Regression(guided=2).draw(writer, Seen(hidden[:1]), Sampling(), streams(5)).value
    torch.testing.assert_close(alone, asked)
