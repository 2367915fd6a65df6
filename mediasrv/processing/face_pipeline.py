"""The pipeline that workers run unless told otherwise: MediaPipe landmarks and all filters."""

import cv2
import numpy as np

from filters.image import YuvImage, chroma_shape
from filters.ladder import SpeedLadder
from filters.landmarks import FaceDetector
from filters.mediapipe_mesh import MediaPipeFaceMesh, draw_face
from filters.mediapipe_selfie import MediaPipeSelfie
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.stages import PersonSegmenter, default_stages

# With fewer in the picture, one look of five searches for more, which costs 1.5 ms.
MAX_FACES = 4
# Until the worker knows how much time its codec leaves (mediasrv.processing.pace).
FIRST_BUDGET_US = 18_000
WARM_UP_WIDTH_PX, WARM_UP_HEIGHT_PX = 640, 360


def open_face_pipeline() -> Pipeline:
    """Load the detector and the filters, all on the calling thread, and run them on a face.

    Raises:
        filters.errors.ModelMissing: The face model is not installed.
    """
    cv2.setNumThreads(1)  # workers share the cores; a pool in each would fight for them
    stages = default_stages(MediaPipeSelfie())
    detector = MediaPipeFaceMesh(max_faces=MAX_FACES)
    pipeline = Pipeline(detector, stages, ladder=SpeedLadder(FIRST_BUDGET_US))
    everything = Parameters(**dict.fromkeys(Parameters().as_dict(), 100))
    # A blank picture would not do: without a face no filter runs, and the first real face would
    # find them cold.
    pipeline.apply(_draw_face(), everything)
    pipeline.reset()
    return pipeline


def open_detector(max_faces: int = MAX_FACES, *, thorough: bool = False) -> FaceDetector:
    """Load the detector alone, for who measures it.

    Args:
        max_faces: Faces to follow.
        thorough: Search all of every picture; for stills.

    Raises:
        filters.errors.ModelMissing: The face model is not installed.
    """
    return MediaPipeFaceMesh(max_faces=max_faces, thorough=thorough)


def open_segmenter() -> PersonSegmenter:
    """Load the segmentation alone, for who measures it.

    Raises:
        filters.errors.ModelMissing: The model is not installed.
    """
    return MediaPipeSelfie()


def _draw_face() -> YuvImage:
    height_px, width_px = WARM_UP_HEIGHT_PX, WARM_UP_WIDTH_PX
    rgb = draw_face(width_px, height_px)
    i420 = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
    u, v = i420[height_px:].reshape(2, *chroma_shape(height_px, width_px))
    return YuvImage(i420[:height_px], u, v)
