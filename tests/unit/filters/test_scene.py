import itertools

import numpy as np
import pytest

from filters.image import YuvImage
from filters.scene import SceneWatch
from tests.filter_faces import grainy_image, read_images


def test_the_first_picture_is_no_change():
    assert not SceneWatch().has_changed(grainy_image(64, 48))


def test_the_same_scene_with_noise_is_no_change():
    watch = SceneWatch()
    assert not any(watch.has_changed(grainy_image(320, 180, seed=seed)) for seed in range(5))


def test_a_cut_is_noticed_once():
    watch = SceneWatch()
    dark, light = grainy_image(320, 180, level=60), grainy_image(320, 180, level=180)
    seen = [watch.has_changed(image) for image in (dark, dark, light, light)]
    assert seen == [False, False, True, False]


def test_another_size_is_another_scene():
    watch = SceneWatch()
    watch.has_changed(YuvImage.blank(320, 180))
    assert watch.has_changed(YuvImage.blank(640, 360))
    assert not watch.has_changed(YuvImage.blank(640, 360))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (16, 16), (3840, 2160)])
def test_any_size_can_be_watched(size):
    watch = SceneWatch()
    watch.has_changed(YuvImage.blank(*size))
    assert not watch.has_changed(YuvImage.blank(*size))


def test_strided_planes_are_read_where_they_are():
    image = grainy_image(320, 180)
    mirrored = YuvImage(image.y[:, ::-1], image.u[:, ::-1], image.v[:, ::-1])
    watch = SceneWatch()
    watch.has_changed(YuvImage(*(np.ascontiguousarray(p) for p in (mirrored.y, image.u, image.v))))
    assert not watch.has_changed(mirrored)


def test_motion_in_real_clips_is_no_cut_and_cuts_between_them_are(media):
    clips = [
        read_images(media / name, 40)
        for name in ("clip_man_glasses_512x480.mp4", "clip_two_people_480x270.gif")
    ]
    for clip in clips:
        watch = SceneWatch()
        assert not any(watch.has_changed(image) for image in clip)
    sizes = [
        (min(a.width_px, b.width_px), min(a.height_px, b.height_px))
        for a, b in [(clips[0][0], clips[1][0])]
    ]
    width_px, height_px = sizes[0]
    for one, other in itertools.permutations(clips):
        watch = SceneWatch()
        watch.has_changed(_cropped(one[0], width_px, height_px))
        assert watch.has_changed(_cropped(other[0], width_px, height_px))


def _cropped(image: YuvImage, width_px: int, height_px: int) -> YuvImage:
    half = (slice(0, (height_px + 1) // 2), slice(0, (width_px + 1) // 2))
    return YuvImage(image.y[:height_px, :width_px], image.u[half], image.v[half])
