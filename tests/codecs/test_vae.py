import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tessera.codecs import square_vae
from tessera.codecs.patches import patchify
from tessera.codecs.vae import VAE
from tessera.codecs.vae import Normal as Posterior
from tessera.document import Document, Image, Text
from tessera.draws import Draw


def small(**changes) -> VAE:
    return square_vae(**{"pixels": 16, "stride": 4, "patch": 2, "features": 3, "channels": 8, **changes}).eval()


def some(count: int, pixels: int = 16) -> list[torch.Tensor]:
    return list(torch.randint(0, 256, (count, 3, pixels, pixels), dtype=torch.uint8))


def test_the_divergence_is_that_of_normal_distributions():
    posterior = Posterior(torch.randn(5, 4, 3, 3), torch.randn(5, 4, 3, 3))
    said = Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    expected = kl_divergence(said, Normal(torch.zeros(()), torch.ones(()))).sum(1)
    torch.testing.assert_close(posterior.divergence(), expected)
    standard = Posterior(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2))
    assert not standard.divergence().any()


def test_samples_are_normal():
    posterior = Posterior(torch.full((20_000, 1, 1, 1), 0.5), torch.full((20_000, 1, 1, 1), -1.0))
    drawn = posterior.sample(torch.randn(20_000, 1, 1, 1)).flatten().double()
    said = Normal(torch.tensor(0.5, dtype=torch.float64), torch.tensor(-0.5, dtype=torch.float64).exp())
    share = said.cdf(drawn.sort().values)
    assert (share - torch.arange(1, 20_001) / 20_000).abs().max() < 0.0136  # Kolmogorov and Smirnov, 1 in 1,000


@pytest.mark.parametrize(("stride", "patch", "elements", "features"), [(4, 2, 4, 12), (4, 1, 16, 3), (8, 1, 4, 3), (8, 2, 1, 12)])
def test_pictures_become_a_grid_of_latents_and_come_back_in_shape(stride, patch, elements, features):
    codec, pictures = small(stride=stride, patch=patch), some(3)
    clean = codec.encode(pictures).clean
    assert clean.shape == (3, elements, features) == (3, codec.elements, codec.features) and codec.columns**2 == elements
    assert codec.blank().shape == clean[0].shape and codec.blank().dtype == clean.dtype
    decoded = codec.decode(list(clean))
    assert decoded.shape == (3, 3, 16, 16) and decoded.dtype == torch.uint8


def test_what_a_document_draws_does_not_depend_on_the_others():
    codec = small()
    documents = [Document((Image(picture), Text("x"))) for picture in some(3)]
    together, alone = codec.arrange(documents, [Draw(i) for i in range(3)]), codec.arrange(documents[2:], [Draw(2)])
    for ours, one in ((together.noise, alone.noise), (together.pictures.seen, alone.pictures.seen)):
        assert torch.equal(ours[2], one[0]) and not torch.equal(ours[0], ours[1])


def test_latents_are_measured_while_learning_and_then_scaled_to_variance_one():
    codec, pictures = small(), some(64)
    codec.encoder.look[-1].weight.data[:3] *= 8  # of the means
    codec.encoder.look[-1].bias.data[:3] += 2
    raw, documents = codec.encode(pictures).clean, [Document((Image(picture),)) for picture in pictures]
    assert abs(float(raw.mean())) > 0.3 and abs(float(raw.var()) - 1) > 0.3
    assert torch.equal(raw, patchify(codec.posterior(torch.stack(pictures) / 127.5 - 1).mean, 2)), "nothing is scaled yet"
    painted = codec.decode(raw)
    codec.noise = 0.0
    arranged = codec.arrange(documents, [Draw(i) for i in range(64)])
    codec.losses_of(arranged)
    assert float(codec.mean) == 0 and float(codec.variance) == 1, "nothing is measured of a frozen codec"
    for _ in range(600):
        codec.train().losses_of(arranged)
    clean = codec.eval().encode(pictures).clean
    assert abs(float(clean.mean())) < 0.01 and abs(float(clean.var()) - 1) < 0.02
    assert (codec.decode(clean).int() - painted.int()).abs().max() <= 1, "decoding scales back"


def test_an_element_stands_for_its_own_square_of_pixels():
    codec = small(pixels=32)
    picture = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    (first,) = codec.encode([picture]).clean
    picture[:, 28:30, 9:11] = 200  # in row 3, column 1 of squares of 8 pixels
    moved = (codec.encode([picture]).clean[0] - first).abs().sum(-1)
    assert moved.nonzero().flatten().tolist() == [13]
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[24:, 8:16] = True
    assert codec.keep(mask).nonzero().flatten().tolist() == [13]


def test_it_learns_four_pictures_by_heart():
    codec = small(pixels=8, patch=1, channels=16, features=4)
    pictures = torch.randint(0, 2, (4, 3, 2, 2), dtype=torch.uint8).mul(255).repeat_interleave(4, 2).repeat_interleave(4, 3)
    documents = [Document((Text("x"), Image(picture))) for picture in pictures]
    optimizer = torch.optim.Adam(codec.train().parameters(), 1e-2)
    for step in range(120):
        (error, count), (divergence, elements) = codec.losses_of(codec.arrange(documents, [Draw(step, i) for i in range(4)])).values()
        optimizer.zero_grad()
        (error / count + 1e-4 * divergence / elements).backward()
        optimizer.step()
    assert (count, elements) == (4, 16) and float(error.detach()) / count < 0.02
    assert (codec.eval().decode(list(codec.encode(list(pictures)).clean)).int() - pictures).abs().max() < 64


def test_documents_without_pictures_lose_nothing():
    codec = small().train()
    losses = codec.losses_of(codec.arrange([Document((Text("x"),))], [Draw(0)]))
    assert [(float(value.detach()), count) for value, count in losses.values()] == [(0.0, 0), (0.0, 0)]
    assert float(codec.variance) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="square_decoder: stride 12; 4 times a power of two"):
        small(stride=12)
    with pytest.raises(ValueError, match="VAE: patches of 3 cells of 4 pixels in 16 pixels; they must divide them"):
        small(patch=3)
    with pytest.raises(ValueError, match=r"picture: torch.uint8 of shape \(3, 8, 8\)"):
        small().encode(some(1, 8))
