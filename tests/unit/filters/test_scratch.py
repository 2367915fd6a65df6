import numpy as np

from filters.scratch import Scratch


def test_a_buffer_is_handed_out_again():
    scratch = Scratch()
    first = scratch.take("a", (4, 5), np.float32)
    assert np.shares_memory(first, scratch.take("a", (5, 4), np.float32))
    assert np.shares_memory(first, scratch.take("a", (2, 2), np.float32))


def test_names_do_not_share_memory():
    scratch = Scratch()
    one = scratch.take("a", (4, 5), np.uint8)
    assert not np.shares_memory(one, scratch.take("b", (4, 5), np.uint8))


def test_a_buffer_grows_and_then_stays():
    scratch = Scratch()
    scratch.take("a", (2, 2), np.uint8)
    large = scratch.take("a", (100, 100), np.uint8)
    assert large.shape == (100, 100)
    assert large.flags.c_contiguous
    assert np.shares_memory(large, scratch.take("a", (100, 100), np.uint8))


def test_another_type_gets_another_buffer():
    scratch = Scratch()
    scratch.take("a", (4,), np.uint8)
    assert scratch.take("a", (4,), np.float32).dtype == np.float32
