"""Runs the beauty pipeline over a file: a picture stays a picture, a clip keeps its sound."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from filters.cube import Look
from filters.mediapipe_mesh import MediaPipeFaceMesh
from filters.mediapipe_selfie import MediaPipeSelfie
from filters.parameters import Parameters
from filters.stages import Stage, default_stages
from mediasrv.errors import MediaError
from mediasrv.offline.clips import CLIP_CODECS, filter_clip
from mediasrv.offline.pictures import PICTURE_CODECS, filter_picture, write_sheet

OnProgress = Callable[[int, int | None], None]

# Group pictures; each further face costs only time here.
MAX_FACES = 5


def filter_file(
    source: Path,
    target: Path,
    parameters: Parameters,
    *,
    compare: bool = False,
    look: Look | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> None:
    """Filter a picture or a clip into another file.

    A picture keeps its resolution, and every pixel outside the filtered faces its value (as far
    as the target's format is lossless). A clip keeps size, timing and, copied, its sound. What is
    stored turned comes out upright.

    Args:
        source: Any picture or clip that FFmpeg reads.
        target: Its suffix says the format: .png .jpg .webp for pictures, .mp4 .mov .mkv .webm
            for clips. Replaced when it exists; left alone when anything fails.
        parameters: Strengths of the filters.
        compare: Put the original on the left of the result.
        look: Taken for ``look_amount`` instead of the built-in looks.
        on_progress: Called with the number of frames done and, where known, of all.

    Raises:
        MediaError: A file cannot be read or written, or the kinds do not fit; one line.
        FilterError: The face model is missing or failed.
    """
    with (
        _opened(source, target) as (opened, unfinished, detector),
        _stages(parameters, look) as stages,
    ):
        if _is_picture(opened):
            filter_picture(opened, unfinished, detector, parameters, stages, compare=compare)
            on_progress(1, 1)
        else:
            filter_clip(
                opened,
                unfinished,
                detector,
                parameters,
                stages,
                compare=compare,
                on_progress=on_progress,
            )


def contact_sheet(
    source: Path,
    target: Path,
    presets: Mapping[str, Parameters],
    *,
    on_progress: OnProgress = lambda done, total: None,
) -> None:
    """Filter a picture with every preset into one sheet of labelled pictures.

    Args:
        source: Any picture that FFmpeg reads.
        target: Its suffix says the format: .png .jpg .webp.
        presets: Parameters by the name to write on the picture.
        on_progress: Called with the number of presets done and of all.

    Raises:
        MediaError: A file cannot be read or written, or is a clip; one line.
        FilterError: The face model is missing or failed.
    """
    with _opened(source, target) as (opened, unfinished, detector):
        if not _is_picture(opened):
            raise MediaError("a contact sheet needs a picture, not a clip")
        write_sheet(opened, unfinished, detector, presets, on_progress=on_progress)


@contextmanager
def _opened(source: Path, target: Path) -> Iterator[tuple[InputContainer, Path, MediaPipeFaceMesh]]:
    """The source, a name to write to that becomes ``target``, and a detector."""
    _check_names(source, target)
    try:
        with av.open(str(source)) as opened, _unfinished(target) as unfinished:
            if not opened.streams.video:
                raise MediaError(f"{source.name} holds no picture")
            _check_kinds(target, _is_picture(opened))
            detector = MediaPipeFaceMesh(MAX_FACES, thorough=_is_picture(opened))
            try:
                yield opened, unfinished, detector
            finally:
                detector.close()
    except (av.FFmpegError, OSError) as exc:
        raise MediaError(f"cannot filter {source.name}: {_reason(exc)}") from exc


@contextmanager
def _stages(parameters: Parameters, look: Look | None) -> Iterator[Sequence[Stage]]:
    """All stages; those for backgrounds only when they are wanted, for they load a net."""
    if not (parameters.background_blur or parameters.background_replace):
        yield default_stages(look=look)
        return
    segmenter = MediaPipeSelfie()
    try:
        yield default_stages(segmenter, look)
    finally:
        segmenter.close()


def _check_names(source: Path, target: Path) -> None:
    if not source.is_file():
        raise MediaError(f"there is no file {source}")
    if not target.parent.is_dir():
        raise MediaError(f"there is no directory {target.parent}")
    if target.exists() and target.samefile(source):
        raise MediaError("the result cannot replace its own source; name another file")
    known = [*PICTURE_CODECS, *CLIP_CODECS]
    if target.suffix.lower() not in known:
        raise MediaError(f"cannot write {target.name}: its suffix must be one of {' '.join(known)}")


def _check_kinds(target: Path, is_picture: bool) -> None:
    kind, codecs = ("picture", PICTURE_CODECS) if is_picture else ("clip", CLIP_CODECS)
    if target.suffix.lower() not in codecs:
        raise MediaError(
            f"the source is a {kind}, so {target.name} must end in one of {' '.join(codecs)}"
        )


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A neighbour of ``target`` to write to; becomes ``target`` at the end, or disappears."""
    path = target.with_name(f".unfinished-{os.getpid()}-{target.name}")
    try:
        yield path
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)


def _is_picture(container: InputContainer) -> bool:
    formats = container.format.name.split(",")
    return any(name == "image2" or name.endswith("_pipe") for name in formats)


def _reason(exc: BaseException) -> str:
    return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__).partition("\n")[0]
