import torch

from tessera.codecs import FSQ, Autoencoder, Shifted


def test_ids_move_into_their_own_span(pictures):
    plain = Autoencoder(quantizer=FSQ((3, 3)), pixels=8, stride=4, channels=8).eval()
    shifted, mask = Shifted(plain, first=100), torch.ones(8, 8, dtype=torch.bool)
    ids, codes = shifted.encode(list(pictures)).clean, plain.encode(list(pictures)).clean
    assert torch.equal(torch.stack(list(ids)), codes + 100)
    assert torch.equal(shifted.decode(ids), plain.decode(list(codes)))
    assert shifted.blank().tolist() == [100] * 4 and shifted.keep(mask).all()
    assert {*shifted.parameters()} == {*plain.parameters()}


def test_ids_of_a_published_vocabulary_may_stand_in_any_order(pictures):
    plain = Autoencoder(quantizer=FSQ((3, 3)), pixels=8, stride=4, channels=8).eval()
    order = [(7 * code) % 9 + 40 for code in range(9)]
    named, codes = Shifted(plain, ids=order), plain.encode(list(pictures)).clean
    ids = torch.stack(list(named.encode(list(pictures)).clean))
    assert ids.tolist() == [[order[code] for code in row] for row in codes.tolist()]
    assert torch.equal(named.codes(ids), codes) and torch.equal(named.decode(list(ids)), plain.decode(list(codes)))
    assert named.blank().tolist() == [40] * 4
