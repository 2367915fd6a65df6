"""Doses a smoothing filter by what it does: every face loses the same part of its texture.

The same amount of one filter takes more from one skin than from another: from large faces than from
small ones, from light pictures than from dark ones, from clean cameras than from noisy ones. So the
amount is not set but solved for, on the face itself: for a change ``d`` of the picture ``y``, the
energy of the texture of ``y - part * d`` is a parabola in ``part``, and two sums over a few
thousand pixels of skin say which.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from filters.facial_data import FacialData

Pixels = npt.NDArray[np.float32]

# Widths of the box filters between which texture lies, the finer applied twice: about the standard
# deviations 1 and 4 px, where pores and lines are on a face before a camera.
FINE_PX, COARSE_PX = 3, 13
# Changes are not taken further than this, lest light and dark change places.
LARGEST_PART = 0.95
# Where less texture than wanted can be reached, the wish bends towards it over this width.
BEND = 0.04
# Mean squared code values of texture below which there is nothing to measure.
LEAST_ENERGY = 1e-3
# Patches of whose texture the change takes less than this part are mostly edges.
LEAST_SHARED = 0.35
# Patches smaller than this part of the largest do not count: cheeks that are turned away.
SMALLEST_SHARE = 0.25


class TexturePatch(FacialData):
    """What a change does to the texture of one patch of skin.

    Attributes:
        size: Pixels that count; 0 when there is no texture to measure.
        shared: Product of the picture's texture and the change's, in parts of the picture's energy.
        taken: Energy of the change's texture, in the same parts.
    """

    __slots__ = ("shared", "size", "taken")

    def __init__(self, before: Pixels, change: Pixels, weight: Pixels) -> None:
        """Measure a patch; all arrays have its shape.

        Args:
            before: Luma.
            change: What the filter would take from it, fully applied.
            weight: How much each pixel counts, 0 to 1.
        """
        self.shared = self.taken = 0.0
        self.size = float(cv2.sumElems(weight)[0])
        if self.size < 1:
            self.size = 0.0
            return
        # Without their means: the roundness of a cheek is no texture.
        bands = texture_band(np.asarray(cv2.merge((before, change)), np.float32))
        own, taken = (
            band - np.float32(float(np.vdot(band, weight)) / self.size) for band in cv2.split(bands)
        )
        weighted = own * weight
        energy = float(np.vdot(weighted, own))
        if energy < LEAST_ENERGY * self.size:
            self.size = 0.0
            return
        self.shared = float(np.vdot(weighted, taken)) / energy
        self.taken = float(np.vdot(taken * weight, taken)) / energy

    def part_for(self, wanted: float) -> float:
        """The part of the change after which this ratio of texture (0 to 1) is left.

        Grows strictly as ``wanted`` falls, also beyond what the change can do.
        """
        if self.shared <= 0 or self.taken <= 0:
            return part_unmeasured(wanted)
        furthest = min(LARGEST_PART, self.shared / self.taken)
        least = math.sqrt(max(1 - 2 * furthest * self.shared + furthest**2 * self.taken, 0.0))
        left = 0.5 * (wanted + least + math.hypot(wanted - least, BEND))
        discriminant = self.shared**2 - self.taken * (1 - left**2)
        return max((self.shared - math.sqrt(max(discriminant, 0.0))) / self.taken, 0.0)


def dose(patches: Sequence[TexturePatch], wanted: float) -> float:
    """The part of a change for a face: the middle of what its patches ask for.

    Patches of which the change takes little are mostly edges (hair, glasses, a hand, a shadow) and
    ask for too much: they have no say beside others, and alone for no more than is usual.

    Args:
        patches: Of one face and one change.
        wanted: Ratio of texture to be left, 0 to 1.
    """
    largest = max((patch.size for patch in patches), default=0.0)
    seen = [patch for patch in patches if 0 < SMALLEST_SHARE * largest <= patch.size]
    if not seen:
        return part_unmeasured(wanted)
    best = max(patch.shared for patch in seen)
    clean = [patch for patch in seen if patch.shared >= min(LEAST_SHARED, best)]
    parts = sorted(patch.part_for(wanted) for patch in clean)
    part = parts[(len(parts) - 1) // 2]
    return part if best >= LEAST_SHARED else min(part, part_unmeasured(wanted))


def part_unmeasured(wanted: float) -> float:
    """A part that suits most faces, where there is nothing to measure."""
    return 1.3 * max(1 - wanted, 0.0)


def texture_band(pixels: Pixels) -> Pixels:
    """What is finer than ``COARSE_PX`` and coarser than ``FINE_PX``; a new array.

    Args:
        pixels: Shape (H, W), or (H, W, n) for n pictures at once.
    """
    fine = cv2.blur(cv2.blur(pixels, (FINE_PX, FINE_PX)), (FINE_PX, FINE_PX))
    return np.asarray(cv2.subtract(fine, cv2.blur(pixels, (COARSE_PX, COARSE_PX))), np.float32)
