"""The built-in looks: colour gradings as small functions on RGB, gentle on skin. Ours."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from filters.cube import Colours, Look

# Rec. 601, as the pictures' own luma.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _graded(
    *,
    contrast: float = 0.0,
    saturation: float = 0.0,
    warmth: float = 0.0,
    tint: float = 0.0,
    fade: float = 0.0,
    shadows: tuple[float, float, float] = (0.0, 0.0, 0.0),
    lights: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Look:
    """A look of the usual controls.

    Args:
        contrast: Steepness around middle grey, 0 none.
        saturation: -1 grey, 0 as it is.
        warmth: Red against blue.
        tint: Magenta against green.
        fade: How far black is lifted.
        shadows: Added to dark colours, RGB.
        lights: Added to light colours.
    """

    def look(colours: Colours) -> Colours:
        grey = colours @ LUMA
        grey = grey[..., None]
        result = grey + (colours - grey) * np.float32(1 + saturation)
        bend = grey * (1 - grey) * (2 * grey - 1) * np.float32(2 * contrast)
        result = result + bend
        result = result + np.array([warmth, -tint, -warmth], np.float32) * grey * (1.2 - grey)
        dark, light = (1 - grey) ** 2, grey**2
        result = result + np.asarray(shadows, np.float32) * dark * (1 - dark * 0.3)
        result = result + np.asarray(lights, np.float32) * light
        result = result * np.float32(1 - fade) + np.float32(fade * 0.6)
        return np.asarray(np.clip(result, 0, 1), np.float32)

    return look


LOOKS: Final[Mapping[str, Look]] = MappingProxyType(
    {
        "warm": _graded(warmth=0.1, saturation=0.08),
        "cool": _graded(warmth=-0.09, tint=0.02, contrast=0.15),
        "film": _graded(
            contrast=0.35, fade=0.07, shadows=(-0.01, 0.015, 0.03), lights=(0.03, 0.01, -0.03)
        ),
        "vivid": _graded(saturation=0.3, contrast=0.35),
        "pastel": _graded(saturation=-0.22, contrast=-0.3, fade=0.06, lights=(0.02, 0.0, 0.015)),
        "teal": _graded(contrast=0.25, shadows=(-0.04, 0.015, 0.04), lights=(0.05, 0.015, -0.04)),
        "golden": _graded(warmth=0.15, saturation=0.12, lights=(0.04, 0.02, -0.02)),
        "mono": _graded(saturation=-1.0, contrast=0.3),
    }
)
