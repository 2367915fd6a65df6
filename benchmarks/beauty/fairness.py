"""Whether the filters do the same for everybody: one face in ten skin tones, and real stills."""

import math
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.beauty.areas import skin_area
from benchmarks.beauty.measure import LOOKS, Quality, at_most, filtered
from benchmarks.beauty.quality import Area, find_areas, image_of_rgb, texture_ratio
from benchmarks.beauty.scenes import astronaut, in_tone, portrait, read_clip, rgb_of
from filters.image import YuvImage
from filters.presets import PRESETS
from mediasrv.processing.face_pipeline import open_detector

# Monk skin tones 1 to 10, RGB.
MONK = (
    *((246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150)),
    *((160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32)),
)
MOST_SPREAD = 1.25
# A default that moves the hue of skin by more than this many degrees (Lab) can be seen.
MOST_HUE_SHIFT_DEG = 5.0
# Faces towards the camera by the beginning of a still's name; others show one.
FRONTAL_FACES = {"still_five": 5, "still_four": 4}


def measure_tones() -> Iterable[Quality]:
    """One face lit to the ten Monk tones."""
    detector = open_detector(1)
    cheeks = find_areas(portrait(), detector).cheeks
    found, hues, bands = 0, [], 0
    ratios: dict[str, list[float]] = {"natural": [], "soft": []}
    for tone in MONK:
        image = image_of_rgb(in_tone(astronaut(), cheeks, tone))
        for _ in range(LOOKS):
            faces = detector.detect(image)
        found += len(faces)
        skin = skin_area(faces[0], image) if faces else cheeks
        for preset, kept in ratios.items():
            result = filtered(image, PRESETS[preset], detector)
            kept.append(texture_ratio(image.y, result.y, skin))
            if preset == "natural":
                before, after = _lab(image, skin), _lab(result, skin)
                hues.append(_hue_shift_deg(before, after))
                bands += nearest_tone(before) == nearest_tone(after)
    detector.close()
    for preset, kept in ratios.items():
        yield at_most(f"tones_texture_spread_{preset}", max(kept) / min(kept), MOST_SPREAD)
    strongest = max(ratios["natural"])
    yield Quality("tones_least_effect", strongest, "< 0.95", strongest < 0.95)
    yield at_most("tones_hue_shift_deg", max(hues), MOST_HUE_SHIFT_DEG)
    yield Quality("tones_in_their_band", bands, "10", bands == len(MONK))
    yield Quality("tones_faces_found", found, "10", found == len(MONK))


def measure_stills(media: Path) -> Iterable[Quality]:
    """Real faces of all tones: each found, each smoothed alike."""
    kept, found, wanted = [], 0, 0
    for path in sorted(media.glob("still_*")):
        expected = next((n for name, n in FRONTAL_FACES.items() if path.name.startswith(name)), 1)
        detector = open_detector(expected, thorough=True)
        image = read_clip(path, 1)[0]
        faces = detector.detect(image)
        result = filtered(image, PRESETS["natural"], detector)
        detector.close()
        found += len(faces)
        wanted += expected
        kept += [texture_ratio(image.y, result.y, skin_area(face, image)) for face in faces]
    yield Quality("stills_faces_found", found, str(wanted), found == wanted)
    if kept:
        yield at_most("stills_texture_spread", max(kept) / min(kept), MOST_SPREAD)
        yield Quality("stills_least_effect", max(kept), "< 0.95", max(kept) < 0.95)


def nearest_tone(lab: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    """Number of the Monk tone that a colour is nearest to."""
    patches = np.array([MONK], np.uint8)
    tones = np.asarray(cv2.cvtColor(patches.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))[0]
    return int(np.linalg.norm(tones - lab, axis=1).argmin())


def _lab(image: YuvImage, area: Area) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean colour of an area in CIE L*a*b*."""
    colours = cv2.cvtColor(rgb_of(image).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(colours[area].mean(axis=0), np.float64)


def _hue_shift_deg(
    before: np.ndarray[tuple[int], np.dtype[np.float64]],
    after: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> float:
    turned = math.atan2(after[2], after[1]) - math.atan2(before[2], before[1])
    return abs(math.degrees(math.remainder(turned, 2 * math.pi)))
