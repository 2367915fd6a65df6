"""Loads the native half of the mediapipe wheel, and only that.

``import mediapipe`` runs a package start-up that imports matplotlib, jax and a dozen solutions
(seconds, and packages that are not installed here). The face graph needs one extension module,
which imports in a tenth of a second by itself.
"""

import importlib.metadata
import importlib.util
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from filters.errors import ModelMissing

# The last release that ships its models and reports usage to nobody; see ARCHITECTURE.md.
VERSION = "0.10.21"
BINDINGS = "mediapipe.python._framework_bindings"
FACE_GRAPH = Path("modules/face_landmark/face_landmark_front_cpu.binarypb")
SEARCH_GRAPH = Path("modules/face_detection/face_detection_short_range_cpu.binarypb")
MODELS = (
    Path("modules/face_landmark/face_landmark_with_attention.tflite"),
    Path("modules/face_detection/face_detection_short_range.tflite"),
)
ADVICE = f"install mediapipe=={VERSION}"


@dataclass(frozen=True, slots=True)
class MediaPipeWheel:
    """What the wheel gives us.

    Attributes:
        bindings: The extension module; it has no type stubs.
        directory: The installed ``mediapipe`` package.
    """

    bindings: Any
    directory: Path


def open_wheel() -> MediaPipeWheel:
    """Find the wheel and load its extension module; the second call finds it loaded.

    Works before and after somebody else imported mediapipe the ordinary way, and such an import
    still works afterwards: the module sits in ``sys.modules`` under its own name.

    Raises:
        ModelMissing: The wheel is absent, has another version, or lacks a file.
    """
    directory = _find_package()
    try:
        version = importlib.metadata.version("mediapipe")
    except importlib.metadata.PackageNotFoundError as exc:
        raise ModelMissing(f"mediapipe is there but was not installed; {ADVICE}") from exc
    if version != VERSION:
        raise ModelMissing(f"mediapipe {version} holds no face model that we can use; {ADVICE}")
    for needed in (FACE_GRAPH, SEARCH_GRAPH, *MODELS):
        if not (directory / needed).is_file():
            raise ModelMissing(f"the mediapipe wheel lacks {needed.name}; reinstall it: {ADVICE}")
    return MediaPipeWheel(_load_bindings(directory), directory)


def _find_package() -> Path:
    try:
        spec = importlib.util.find_spec("mediapipe")  # finds without executing
    except ValueError:  # somebody put a stand-in without a spec into sys.modules
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(f"the face model comes with mediapipe, which is not there; {ADVICE}")
    return Path(spec.submodule_search_locations[0])


def _load_bindings(directory: Path) -> ModuleType:
    loaded = sys.modules.get(BINDINGS)
    if loaded is not None:
        return loaded
    found = sorted((directory / "python").glob("_framework_bindings*.so"))
    if not found:
        raise ModelMissing(f"the mediapipe wheel is not built for this system; {ADVICE}")
    spec = importlib.util.spec_from_file_location(BINDINGS, found[0])
    if spec is None or spec.loader is None:
        raise ModelMissing(f"the mediapipe wheel cannot be loaded; {ADVICE}")
    try:
        with warnings.catch_warnings():
            # protobuf's, on Python 3.12: about how its own types are made, for its authors.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = importlib.util.module_from_spec(spec)
            sys.modules[BINDINGS] = module  # a second copy in one process would clash with it
            spec.loader.exec_module(module)
    except ImportError as exc:
        sys.modules.pop(BINDINGS, None)
        raise ModelMissing(f"the mediapipe wheel cannot be loaded: {exc}") from exc
    return module
