from tessera.grouping import alike


def test_numbers_of_one_key_come_together_and_keep_their_order():
    assert alike(["bb", "a", "cc", "d", ""], len) == [[0, 2], [1, 3], [4]]
    assert alike([], len) == []
