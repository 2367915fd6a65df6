"""Facial data cannot leave by accident: every way that Python offers is tried."""

import ast
import copy
import dataclasses
import inspect
import json
import logging
import pickle
import pprint
import re
import traceback
from pathlib import Path

import numpy as np
import pytest

import filters.canvas
import filters.landmarks
import filters.masks
import filters.motion
import filters.one_euro
import filters.region
import filters.tracking
from benchmarks.beauty.quality import FaceAreas
from filters.canvas import Painter
from filters.complexion import Complexion
from filters.face_memory import FaceMemory
from filters.face_search import FaceSearch
from filters.facial_data import FacialArray, FacialData
from filters.landmarks import LANDMARK_COUNT, FaceLandmarks
from filters.mediapipe_wheel import open_wheel
from filters.motion import FaceMotion
from filters.one_euro import OneEuroFilter
from filters.parameters import Parameters
from filters.pipeline import Applied, Pipeline
from filters.roi import FaceRoi
from filters.texture import TexturePatch
from filters.tracking import TrackedFace, _Track
from filters.warp import Warp
from tests.filter_faces import KnownFaces, face_at, grainy_image, region_in

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# A number that no other value in a message would hold by chance.
SECRET = 1234.5678
SECRET_DIGITS = re.compile(r"1234|5678|1\.23\d*e\+?0?3")
FORBIDDEN_IMPORTS = {"av", "aiortc", "asyncio", "json", "logging", "pickle", "shelve", "marshal"}


def secret_points() -> np.ndarray:
    return np.full((LANDMARK_COUNT, 3), SECRET, np.float32)


def every_kind() -> list[FacialData]:
    """One object of every class that holds facial data."""
    landmarks = FaceLandmarks(secret_points())
    points = landmarks.points()
    image = grainy_image(256, 256)
    region = region_in(image, face_at(128, 128, 120))
    return [
        landmarks,
        OneEuroFilter(points),
        TrackedFace(landmarks),
        _Track(landmarks, 1.0),
        FaceMemory(),
        FaceRoi.around(np.asarray(points)),
        FaceSearch(open_wheel()),
        TexturePatch(*(np.ones((9, 9), np.float32) for _ in range(3))),
        FaceMotion(image, face_at(128, 128, 120)),
        region,
        Complexion(region, *(region.skin for _ in range(4))),
        Warp(region, image),
        Painter().begin(image, region),
        FaceAreas(face_at(128, 128, 120), 256, 256),
    ]


def kinds() -> list:
    return [pytest.param(kind, id=type(kind).__name__) for kind in every_kind()]


def test_every_class_that_holds_facial_data_is_tried():
    def subclasses(kind: type) -> set[type]:
        found: set[type] = set()
        children: list[type] = kind.__subclasses__()
        for child in children:
            found |= {child} | subclasses(child)
        return found

    assert subclasses(FacialData) == {type(kind) for kind in every_kind()}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", kinds())
def test_pickling_is_refused_in_every_protocol(kind, protocol):
    with pytest.raises(TypeError, match="facial data stays"):
        pickle.dumps(kind, protocol)
    with pytest.raises(TypeError, match="facial data stays"):
        pickle.dumps({"nested": [kind]}, protocol)


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize(
    "attempt",
    [
        copy.copy,
        copy.deepcopy,
        lambda kind: kind.__reduce__(),
        lambda kind: kind.__reduce_ex__(5),
        lambda kind: kind.__getstate__(),
        lambda kind: kind.__setstate__({}),
        vars,
        iter,
        list,
        dict,
        lambda kind: [*kind],
        lambda kind: kind[0],
        len,
        bytes,
        memoryview,
        np.asarray,
        np.array,
        lambda kind: np.array([kind], dtype=float),
        lambda kind: kind + 1,
        json.dumps,
        dataclasses.asdict,
        dataclasses.astuple,
    ],
    ids=lambda attempt: getattr(attempt, "__name__", str(attempt)),
)
def test_copying_listing_and_converting_are_refused(kind, attempt):
    with pytest.raises(TypeError):
        attempt(kind)


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        ascii,
        format,
        lambda kind: f"{kind}",
        lambda kind: f"{kind!r:>60}",
        lambda kind: f"{kind:.3f}",
        lambda kind: "%s %r" % (kind, kind),  # noqa: UP031
        lambda kind: f"{[kind]} { ({'a': kind}) }",
        pprint.pformat,
        lambda kind: logging.makeLogRecord({"msg": "%s", "args": (kind,)}).getMessage(),
    ],
)
def test_whatever_prints_it_says_redacted(kind, shown):
    text = shown(kind)
    assert f"<{type(kind).__name__} redacted>" in text
    assert not SECRET_DIGITS.search(text)


@pytest.mark.parametrize("kind", kinds())
def test_there_is_no_dictionary_of_attributes(kind):
    assert not hasattr(kind, "__dict__")
    with pytest.raises(AttributeError):
        kind.anything = 1


def test_a_traceback_with_local_variables_shows_no_value():
    landmarks = FaceLandmarks(secret_points())

    def fails() -> None:
        points = landmarks.points()
        nose = points[1]
        shifted = points * 2 - points[:, :1]
        several = [points, nose, {"shifted": shifted}]
        raise ValueError(f"{landmarks} {several} {shifted.mean(axis=0)}")

    with pytest.raises(ValueError, match="redacted") as caught:
        fails()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(shown.format())
    assert "points = <FacialArray redacted>" in text
    assert not SECRET_DIGITS.search(text)


def test_a_failing_filter_shows_no_value_either():
    class Broken:
        name, needs_faces = "broken", True

        def is_active(self, parameters: Parameters) -> bool:
            del parameters
            return True

        def apply(self, image, faces, parameters) -> None:
            del image, parameters
            points = faces[0].points
            raise RuntimeError(f"cannot work on {faces} {points[10]}")

    face = face_at(1234.5678 / 8, 154.3, 100)
    pipeline = Pipeline(KnownFaces([face]), [Broken()])
    with pytest.raises(RuntimeError, match="redacted") as caught:
        pipeline.apply(grainy_image(320, 320), Parameters())
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    digits = {f"{value:.3f}"[:6] for value in np.asarray(face.points())[:, :2].ravel()}
    assert not [digit for digit in digits if digit in "".join(shown.format())]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_points_themselves_cannot_be_pickled(protocol):
    points = FaceLandmarks(secret_points()).points()
    for derived in (points, points[:10], points * 2, points.mean(axis=0), points.reshape(-1)):
        with pytest.raises(TypeError, match="facial data stays"):
            pickle.dumps(derived, protocol)


@pytest.mark.parametrize(
    "attempt",
    [
        copy.copy,
        copy.deepcopy,
        lambda points: points.dump("anywhere"),
        lambda points: points.dumps(),
        lambda points: points.tofile("anywhere"),
        lambda points: np.save("anywhere", points),
        json.dumps,
    ],
)
def test_the_points_themselves_cannot_be_stored(attempt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError):
        attempt(FaceLandmarks(secret_points()).points())
    assert all(path.stat().st_size < 200 for path in tmp_path.iterdir())


@pytest.mark.parametrize("shown", [repr, str, ascii, format, lambda points: f"{points:}"])
def test_the_points_themselves_do_not_print(shown):
    points = FaceLandmarks(secret_points()).points()
    for derived in (points, points[3], points[:, :2] + 1, np.minimum(points, 9e9)):
        assert shown(derived) == "<FacialArray redacted>"


def test_the_one_way_in_is_deliberate():
    points = FaceLandmarks(secret_points()).points()
    assert isinstance(points, FacialArray)
    assert np.asarray(points)[0, 0] == np.float32(SECRET)
    public = [name for name in dir(FaceLandmarks) if not name.startswith("_")]
    assert public == ["confidence", "points"]  # the first is one number, about the detector


def test_what_a_call_reports_holds_nothing_of_a_face():
    assert [field.name for field in dataclasses.fields(Applied)] == ["durations_us"]
    alone, crowd = KnownFaces([]), KnownFaces([face_at(100 + 90 * n, 100, 60) for n in range(3)])
    reports = [
        Pipeline(faces).apply(grainy_image(400, 200), Parameters(smooth=50, brighten=50))
        for faces in (alone, crowd)
    ]
    assert reports[0].durations_us.keys() == reports[1].durations_us.keys()
    for report in reports:
        assert all(type(value) is int for value in report.durations_us.values())


def test_no_parameter_is_derived_from_a_face():
    assert set(Parameters.json_schema()["properties"]) == set(Parameters().as_dict())
    assert {type(value) for value in Parameters().as_dict().values()} == {int}


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "filters").rglob("*.py")), ids=lambda p: p.name
)
def test_filters_import_nothing_that_stores_sends_or_logs(path):
    tree = ast.parse(path.read_text())
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert not roots & FORBIDDEN_IMPORTS
    assert not roots & {"socket", "tempfile", "shutil", "subprocess", "multiprocessing", "urllib"}


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "filters").rglob("*.py")), ids=lambda p: p.name
)
def test_filters_call_nothing_that_prints_or_writes(path):
    names = {
        node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    assert not names & {
        "print",
        "open",
        "imwrite",
        "imshow",
        "save",
        "savez",
        "tofile",
        "write_text",
    }


def test_every_class_with_points_or_masks_is_fenced():
    for module in (
        filters.canvas,
        filters.landmarks,
        filters.motion,
        filters.one_euro,
        filters.region,
        filters.tracking,
    ):
        for name, kind in inspect.getmembers(module, inspect.isclass):
            holds_faces = {"landmarks", "points", "skin", "glow", "_smoothed", "_crop", "filter"}
            if kind.__module__ == module.__name__ and holds_faces & set(dir(kind)):
                is_protocol = getattr(kind, "_is_protocol", False)
                assert is_protocol or issubclass(kind, FacialData), name
