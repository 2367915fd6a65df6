"""Pixels in, pixels out: the beauty filters, on YUV planes in numpy.

The face detector is :class:`filters.mediapipe_mesh.MediaPipeFaceMesh`, imported on purpose only.
"""

from filters.errors import FilterError, ImageContractError, ModelMissing, ParameterError
from filters.image import YuvImage
from filters.landmarks import FaceDetector, FaceLandmarks
from filters.parameters import Parameters
from filters.pipeline import Applied, Pipeline
from filters.stages import Stage, default_stages

__all__ = [
    "Applied",
    "FaceDetector",
    "FaceLandmarks",
    "FilterError",
    "ImageContractError",
    "ModelMissing",
    "ParameterError",
    "Parameters",
    "Pipeline",
    "Stage",
    "YuvImage",
    "default_stages",
]
