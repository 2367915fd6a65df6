"""The pipeline that workers run unless told otherwise: MediaPipe landmarks and all filters."""

import cv2
from filters.pipeline import Pipeline

from filters.mediapipe_mesh import MediaPipeFaceMesh


def open_face_pipeline() -> Pipeline:
    """Load the detector and the filters, all on the calling thread.

    Raises:
        filters.errors.ModelMissing: The face model is not installed.
    """
    cv2.setNumThreads(1)  # workers share the cores; a pool in each would fight for them
    return Pipeline(MediaPipeFaceMesh(max_faces=1))
