import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from filters import mediapipe_wheel
from filters.errors import FilterError, ModelMissing
from filters.mediapipe_wheel import BINDINGS, VERSION, open_wheel

# Reports as JSON what a fresh interpreter holds after loading the detector.
REPORT = """
import json, os, sys
from filters.mediapipe_mesh import MediaPipeFaceMesh, draw_face
from benchmarks.beauty.quality import image_of_rgb
{before}
mesh = MediaPipeFaceMesh()
faces = len(mesh.detect(image_of_rgb(draw_face(640, 360))))
{after}
print(json.dumps({{"faces": faces, "modules": sorted(sys.modules)}}))
"""


def in_a_fresh_interpreter(before: str = "", after: str = "") -> SimpleNamespace:
    program = REPORT.format(before=before, after=after)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(stderr=done.stderr, **json.loads(done.stdout))


def test_the_detector_loads_without_mediapipes_own_start_up():
    report = in_a_fresh_interpreter()
    assert report.faces == 1
    foreign = {"mediapipe", "matplotlib", "jax", "mediapipe.python.solutions", "mediapipe.tasks"}
    assert not foreign & set(report.modules)
    assert BINDINGS in report.modules


def test_loading_and_detecting_say_nothing_on_standard_error():
    assert in_a_fresh_interpreter().stderr == ""


def test_the_graph_starts_no_threads():
    report = in_a_fresh_interpreter(
        before="import cv2; cv2.setNumThreads(1); before = len(os.listdir('/proc/self/task'))",
        after="assert len(os.listdir('/proc/self/task')) == before, before",
    )
    assert report.faces == 1


def test_mediapipe_that_was_loaded_already_is_used():
    # What an ordinary import leaves behind, without what it needs to be installed.
    ordinary = (
        "import types, importlib.util\n"
        "for name in ('mediapipe', 'mediapipe.python'):\n"
        "    spec = importlib.util.find_spec(name)\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    module.__spec__, module.__path__ = spec, list(spec.submodule_search_locations)\n"
        "from mediapipe.python._framework_bindings import calculator_graph as theirs\n"
    )
    check = "from filters.mediapipe_wheel import open_wheel\n"
    check += "assert open_wheel().bindings.calculator_graph is theirs\n"
    assert in_a_fresh_interpreter(ordinary, check).faces == 1


def test_mediapipe_can_be_imported_afterwards():
    shells = (
        "import types, importlib.util\n"
        "for name in ('mediapipe', 'mediapipe.python'):\n"
        "    spec = importlib.util.find_spec(name)\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    module.__spec__, module.__path__ = spec, list(spec.submodule_search_locations)\n"
        "from mediapipe.python._framework_bindings import calculator_graph as theirs\n"
        "assert theirs is sys.modules['mediapipe.python._framework_bindings'].calculator_graph\n"
    )
    assert in_a_fresh_interpreter(after=shells).faces == 1


def test_the_second_opening_finds_it_loaded():
    assert open_wheel().bindings is open_wheel().bindings


def refusal() -> str:
    with pytest.raises(ModelMissing) as caught:
        open_wheel()
    assert isinstance(caught.value, FilterError)
    text = str(caught.value)
    assert "\n" not in text
    assert f"mediapipe=={VERSION}" in text
    return text


def test_a_missing_wheel_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "not there" in refusal()


def test_a_stand_in_without_a_spec_is_no_wheel(monkeypatch):
    stand_in = ModuleType("mediapipe")
    monkeypatch.setitem(sys.modules, "mediapipe", stand_in)
    assert "not there" in refusal()


def test_another_version_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.10.35")
    assert "0.10.35" in refusal()


def test_a_package_that_nobody_installed_is_refused(monkeypatch):
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert "not installed" in refusal()


def pretend_package(monkeypatch, directory: Path) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(directory)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_a_missing_model_is_named(monkeypatch, tmp_path):
    pretend_package(monkeypatch, tmp_path)
    assert "face_landmark_front_cpu.binarypb" in refusal()


def test_a_wheel_for_another_system_is_named(monkeypatch, tmp_path):
    for needed in (
        mediapipe_wheel.FACE_GRAPH,
        mediapipe_wheel.SEARCH_GRAPH,
        *mediapipe_wheel.MODELS,
    ):
        (tmp_path / needed).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / needed).touch()
    pretend_package(monkeypatch, tmp_path)
    monkeypatch.delitem(sys.modules, BINDINGS, raising=False)
    assert "not built for this system" in refusal()


def test_a_broken_extension_is_named_and_not_kept(monkeypatch, tmp_path):
    for needed in (
        mediapipe_wheel.FACE_GRAPH,
        mediapipe_wheel.SEARCH_GRAPH,
        *mediapipe_wheel.MODELS,
    ):
        (tmp_path / needed).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / needed).touch()
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "_framework_bindings.so").write_bytes(b"no library")
    pretend_package(monkeypatch, tmp_path)
    monkeypatch.delitem(sys.modules, BINDINGS, raising=False)
    with pytest.raises(ModelMissing, match="cannot be loaded"):
        open_wheel()
    assert BINDINGS not in sys.modules
