"""All stages, in the order in which they run: the one registry.

A new filter is a class here or a touch of a stage that paints, and a field in
:class:`filters.parameters.Parameters`; the contract tests find it by themselves.
"""

from typing import Final

from filters.cube import Look as LookFunction
from filters.people import PersonSegmenter
from filters.stages.background import Background
from filters.stages.base import FaceStage, LookingStage, Pace, Stage
from filters.stages.brighten import Brighten
from filters.stages.features import Features
from filters.stages.look import Look
from filters.stages.low_light import LowLight
from filters.stages.makeup import MakeUp
from filters.stages.shape import Shape
from filters.stages.sharpen import Sharpen
from filters.stages.skin import Skin
from filters.stages.smooth import Smooth

# Skin first, light on top of it; sharpening after what it would coarsen, make-up on all of it.
# Shape comes after all that look where the face is. Light and looks are the whole picture's.
STAGE_TYPES: Final[tuple[type[FaceStage], ...]] = (
    Smooth,
    Skin,
    Brighten,
    Features,
    Sharpen,
    MakeUp,
    Shape,
    Background,
    LowLight,
    Look,
)


def default_stages(
    segmenter: PersonSegmenter | None = None, look: LookFunction | None = None
) -> tuple[Stage, ...]:
    """Make one object of every stage, for one stream.

    Args:
        segmenter: Tells people from their background; without it backgrounds stay as they are.
        look: Taken for ``look_amount`` instead of the built-in looks.
    """
    special: dict[type[FaceStage], FaceStage] = {
        Background: Background(segmenter),
        Look: Look(look),
    }
    return tuple(special.get(stage_type) or stage_type() for stage_type in STAGE_TYPES)


__all__ = [
    "STAGE_TYPES",
    "FaceStage",
    "LookingStage",
    "Pace",
    "PersonSegmenter",
    "Stage",
    "default_stages",
]
