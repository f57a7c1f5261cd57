from tessera.grouping import alike


def test_numbers_of_one_key_come_together_and_keep_their_order():
    assert list(alike(["bb", "a", "cc", "d", ""], len)) == [[4], [1, 3], [0, 2]]
    assert list(alike([], len)) == []
