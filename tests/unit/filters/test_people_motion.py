import cv2
import numpy as np
import pytest

from filters.image import YuvImage
from filters.people import PeopleWatch, mask_behind
from filters.people_motion import PeopleMotion, moved_along

WIDTH, HEIGHT = 640, 360
RANDOM = np.random.default_rng(3)


def texture(cell_px: int, low: int, high: int) -> np.ndarray:
    """Soft blotches of this size, over the whole picture."""
    coarse = RANDOM.integers(low, high, (HEIGHT // cell_px, WIDTH // cell_px)).astype(np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


WALL, CLOTHES = texture(20, 90, 230), texture(20, 20, 160)


def person(x_px: int, *, wall_px: int = 0) -> tuple[YuvImage, np.ndarray]:
    """Somebody before a wall, and where exactly she is."""
    outline = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(outline, (260 + x_px, 130), (60, 80), 0, 0, 360, (255,), -1)
    cv2.ellipse(outline, (260 + x_px, 360), (150, 150), 0, 0, 360, (255,), -1)
    image = YuvImage.blank(WIDTH, HEIGHT)
    clothes, wall = np.roll(CLOTHES, x_px, axis=1), np.roll(WALL, wall_px, axis=1)
    image.y[:] = np.where(outline != 0, clothes, wall)
    return image, outline


class Truthful:
    """A segmenter that is told where people are."""

    def __init__(self) -> None:
        self.outline = np.zeros((HEIGHT, WIDTH), np.uint8)

    def segment(self, image: YuvImage) -> np.ndarray:
        del image
        small = cv2.resize(self.outline, (256, 144), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255


def flow_between(before: YuvImage, after: YuvImage) -> np.ndarray | None:
    motion = PeopleMotion()
    motion.see(before)
    motion.see(after)
    return motion.flow()


def wrong_cells(way_px: int, *, pan: bool) -> float:
    """The part of people's outline that is wrong in a picture at which the net does not look."""
    net = Truthful()
    watch, pace = PeopleWatch(net), {"now": False, "in_haste": False}
    for step in range(4):  # the net looks at the first and the third
        image, net.outline = person(step * way_px, wall_px=step * way_px if pan else 0)
        mask = watch.behind(image, times=1, **pace)
    truth = mask_behind(np.rint(255 * net.segment(image)).astype(np.uint8))
    border = cv2.Canny(truth.codes, 50, 150) != 0
    wrong = np.abs(mask.codes.astype(int) - truth.codes) > 128
    return float(np.count_nonzero(wrong) / np.count_nonzero(border))


@pytest.mark.parametrize("way_px", [4, 8, 14])
@pytest.mark.parametrize("pan", [False, True])
def test_the_mask_goes_along_with_who_moves_while_the_net_does_not_look(way_px, pan):
    assert wrong_cells(way_px, pan=pan) < 0.5


def test_a_mask_of_who_keeps_still_is_not_touched():
    image, outline = person(0)
    noisy = image.copy()
    noisy.y[:] = np.clip(image.y + RANDOM.normal(0, 3, image.y.shape), 0, 255)
    flow = flow_between(image, noisy)
    assert flow is None or moved_along(outline, flow) is None


def test_nothing_moves_where_nobody_is():
    flow = flow_between(person(0)[0], person(8)[0])
    assert flow is not None
    assert moved_along(np.zeros((144, 256), np.uint8), flow) is None


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 9), (1919, 1081)])
def test_pictures_of_any_size_are_followed(size):
    images = [YuvImage.blank(*size) for _ in range(2)]
    images[1].y[:] = 160
    flow = flow_between(*images)
    assert flow is not None
    assert np.isfinite(flow).all()
