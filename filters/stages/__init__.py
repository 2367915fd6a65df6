"""All stages, in the order in which they run: the one registry.

A new filter is a module here, a line in ``STAGE_TYPES``, and a field in
:class:`filters.parameters.Parameters` of the same name; the contract tests find it by itself.
"""

from typing import Final

from filters.stages.base import FaceStage, Stage
from filters.stages.brighten import Brighten
from filters.stages.smooth import Smooth

# Skin first, light on top of it.
STAGE_TYPES: Final[tuple[type[FaceStage], ...]] = (Smooth, Brighten)


def default_stages() -> tuple[Stage, ...]:
    """Make one object of every stage, for one stream."""
    return tuple(stage_type() for stage_type in STAGE_TYPES)


__all__ = ["STAGE_TYPES", "FaceStage", "Stage", "default_stages"]
