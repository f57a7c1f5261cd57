import torch

from tessera.places import FIELDS, Places


def test_each_name_is_its_own_field():
    facts = Places(torch.arange(len(FIELDS) * 2 * 3).view(len(FIELDS), 2, 3))
    for i, name in enumerate(FIELDS):
        assert torch.equal(getattr(facts, name), facts.data[i])


def test_an_index_applies_behind_the_fields():
    facts = Places(torch.arange(len(FIELDS) * 2 * 3).view(len(FIELDS), 2, 3))
    assert torch.equal(facts[1].data, facts.data[:, 1])
    assert torch.equal(facts[0, 1:].order, facts.order[0, 1:])


def test_cat_puts_rows_behind_each_other(places):
    both = places(order=[[0, 1], [5, 6]]).cat(places(order=[[2], [7]]))
    assert both.order.tolist() == [[0, 1, 2], [5, 6, 7]]
