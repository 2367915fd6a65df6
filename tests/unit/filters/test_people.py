import numpy as np
import pytest

from filters.image import YuvImage
from filters.people import FOLLOWS, LOOK_EVERY, PeopleWatch, mask_behind
from tests.filter_faces import KnownPerson

IMAGE = YuvImage.blank(64, 36)


class Moving(KnownPerson):
    """Sees a person in another place when told."""

    shift = 0

    def segment(self, image: YuvImage) -> np.ndarray:
        return np.roll(super().segment(image), self.shift, axis=1)


def codes(watch: PeopleWatch, pictures: int = 1, **pace) -> np.ndarray:
    """The mask after so many pictures."""
    pace = {"times": 1, "now": False, "in_haste": False} | pace
    for _ in range(pictures):
        mask = watch.behind(IMAGE, **pace)
    return mask.codes


def looks(pictures: int, **pace) -> list[bool]:
    """At which pictures the net looks."""
    person = KnownPerson()
    watch, asked = PeopleWatch(person), []
    for _ in range(pictures):
        before = person.calls
        codes(watch, **pace)
        asked.append(person.calls > before)
    return asked


def test_the_net_looks_at_the_first_picture_and_then_in_turn():
    assert looks(5) == [True, False, True, False, True]
    assert looks(9, times=2) == [True] + [False, False, False, True] * 2


def test_in_haste_a_look_waits_for_one_picture_and_no_longer():
    assert looks(7, in_haste=True) == [True, False, False, True, False, False, True]


def test_a_new_scene_is_looked_at_at_once():
    assert looks(3, now=True, in_haste=True) == [True] * 3


def test_trembling_is_averaged():
    person = Moving()
    watch = PeopleWatch(person)
    before = codes(watch).copy()
    person.shift = 1
    after = codes(watch, LOOK_EVERY)
    trembled = mask_behind(np.full((1, 1), round(255 * FOLLOWS), np.uint8)).codes[0, 0]
    assert 0 < trembled < 255
    assert after[0, 43] == trembled
    assert before[0, 43] == 255


@pytest.mark.parametrize("shift", [3, 5, -4])
def test_a_move_counts_at_once(shift):
    person = Moving()
    watch = PeopleWatch(person)
    codes(watch)
    person.shift = shift
    assert np.array_equal(codes(watch, LOOK_EVERY), codes(PeopleWatch(person)))


def test_nothing_of_another_scene_stays():
    person = Moving()
    watch = PeopleWatch(person)
    codes(watch)
    person.shift = 25
    assert np.array_equal(codes(watch, LOOK_EVERY), codes(PeopleWatch(person)))
