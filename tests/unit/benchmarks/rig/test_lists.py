import argparse

import pytest

from benchmarks.rig.lists import count_list, name_list


def test_counts_are_numbers_from_one():
    assert count_list("10,100") == [10, 100]
    for text in ("0", "5,-1"):
        with pytest.raises(argparse.ArgumentTypeError):
            count_list(text)
    with pytest.raises(ValueError, match="ten"):
        count_list("ten")


def test_names_are_some_of_the_known_or_all():
    parse = name_list(("off", "natural"))
    assert parse("natural") == ["natural"]
    assert parse("all") == ["off", "natural"]
    for text in ("", "natural,other"):
        with pytest.raises(argparse.ArgumentTypeError, match="none of off, natural"):
            parse(text)
