"""What the tests of filters share."""

from collections.abc import Iterator

import pytest

from filters.mediapipe_mesh import MediaPipeFaceMesh


@pytest.fixture
def detector() -> Iterator[MediaPipeFaceMesh]:
    """A detector that has seen nothing yet."""
    mesh = MediaPipeFaceMesh()
    yield mesh
    mesh.close()
