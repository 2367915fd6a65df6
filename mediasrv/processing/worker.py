"""The beauty worker process: ``python -m mediasrv.processing.worker --channel FD``.

Started by the server, one per filtered stream, with one inherited socket and nothing else. Loads
and runs everything once, locks itself in, says Ready, and from then on can reach no file, no
further socket and no other process. It ends when it is told to, when the server is gone, or at the
first sign that something is wrong; it never tries to go on after an error it does not know.
"""

import argparse
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import NoReturn

from filters.errors import FilterError
from filters.image import YuvImage
from mediasrv.media import Codec
from mediasrv.processing.channel import pack
from mediasrv.processing.confinement import UNCONFINED, Confinement, SandboxLevel
from mediasrv.processing.decoder import VideoDecoder
from mediasrv.processing.diagnostics import WorkerEvent, format_event
from mediasrv.processing.encoder import VideoEncoder
from mediasrv.processing.errors import ChannelError, ProcessingError
from mediasrv.processing.messages import Hello, InputFrame, Ready
from mediasrv.processing.pipeline import (
    FrontStage,
    Pipeline,
    open_front_stages,
    open_named,
    warm_up,
)
from mediasrv.processing.planes import OwnPicture
from mediasrv.processing.sandbox import confine
from mediasrv.processing.turns import ask_for_long_turns
from mediasrv.processing.worker_loop import WorkerLoop

EXIT_DONE = 0
EXIT_CRASHED = 1
EXIT_CHANNEL = 3
EXIT_START = 4

# The first free descriptor. Everything up to it is in use, so a limit there lets nothing be opened.
CHANNEL_FD = 3

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one worker until it ends; never returns."""
    sys.excepthook = _end_after_crash
    options = _parse(arguments)
    _die_with(options.parent)
    try:
        channel = _take_channel(options.channel)
        channel.sendall(pack(Hello()))
        ask_for_long_turns()
        pipeline, front_stages = _load(options.pipeline, options.front_stage)
        confinement = _lock_in(channel, options.sandbox)
        _say(WorkerEvent.READY)
        channel.sendall(pack(Ready(confinement)))
    except ConnectionError:
        _end(EXIT_DONE, WorkerEvent.SERVER_GONE)
    except (FilterError, ProcessingError) as exc:
        print(exc, file=sys.stderr)
        _end(EXIT_START, WorkerEvent.START_FAILED, kind=type(exc).__name__)
    if not confinement.fulfils(options.sandbox):  # the server says so too; this is our own word
        _end(EXIT_START, WorkerEvent.START_FAILED, kind="SandboxIncomplete")
    _serve(channel, pipeline, front_stages)


def _serve(
    channel: socket.socket, pipeline: Pipeline, front_stages: tuple[FrontStage, ...]
) -> NoReturn:
    try:
        event = WorkerLoop(channel, pipeline, front_stages).run()
    except ChannelError:
        _end(EXIT_CHANNEL, WorkerEvent.CHANNEL_BROKEN)
    _end(EXIT_DONE, event)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mediasrv-worker")
    parser.add_argument("--channel", type=int, required=True, help="inherited socket")
    parser.add_argument("--parent", type=int, required=True, help="process id of the server")
    parser.add_argument("--sandbox", type=SandboxLevel, required=True, help="what is demanded")
    parser.add_argument("--pipeline", required=True, help="module:factory")
    parser.add_argument("--front-stage", action="append", default=[], help="module:factory")
    return parser.parse_args(arguments)


def _die_with(parent_pid: int) -> None:
    """Let the kernel kill us when the server dies, even while we hang; Linux only.

    Elsewhere the end of the socket is the sign, which a hanging worker does not see.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(EXIT_DONE)


def _take_channel(inherited_fd: int) -> socket.socket:
    """Move the socket to where nothing is left free below it."""
    if inherited_fd != CHANNEL_FD:
        os.dup2(inherited_fd, CHANNEL_FD, inheritable=False)
        os.close(inherited_fd)
    return socket.socket(fileno=CHANNEL_FD)


def _lock_in(channel: socket.socket, level: SandboxLevel) -> Confinement:
    """Give up what the stream does not need; from here on nothing can be opened or imported."""
    if level is SandboxLevel.OFF:
        return UNCONFINED
    gc.collect()  # what loading has left open is closed by its destructors
    return confine(channel.fileno())


def _load(
    pipeline_name: str, front_stage_names: Sequence[str]
) -> tuple[Pipeline, tuple[FrontStage, ...]]:
    front_stages = open_front_stages(front_stage_names)
    pipeline: Pipeline = open_named(pipeline_name)
    warm_up(pipeline, front_stages)
    for codec in Codec:
        _warm_up_codec(codec)
    return pipeline, front_stages


def _warm_up_codec(codec: Codec) -> None:
    """Encode and decode one black picture, so that nothing is loaded later."""
    black = YuvImage.blank(64, 64)
    picture = OwnPicture.blank(64, 64)
    picture.image.y[:], picture.image.u[:], picture.image.v[:] = black.y, black.u, black.v
    encoded = VideoEncoder(codec).encode(picture.frame, 0, keyframe=True)
    frame = InputFrame(0, encoded.keyframe, encoded.payload)
    VideoDecoder(codec).decode(frame.payload, 0, keyframe=frame.keyframe)


def _say(event: WorkerEvent, **details: int | str) -> None:
    with contextlib.suppress(OSError):  # the server may be gone, and its end of the pipe with it
        print(format_event(event, **details), file=sys.stderr, flush=True)


def _end_after_crash(
    kind: type[BaseException], _: BaseException, step: TracebackType | None
) -> NoReturn:
    """Name the error's type and place; never its text, nor any variable, nor read a source."""
    place: dict[str, int | str] = {}
    while step is not None:
        name = os.path.basename(step.tb_frame.f_code.co_filename)
        place = {"file": name if name.endswith(".py") else "none", "line": step.tb_lineno}
        step = step.tb_next
    _end(EXIT_CRASHED, WorkerEvent.CRASHED, kind=kind.__name__, **place)


def _end(code: int, event: WorkerEvent, **details: int | str) -> NoReturn:
    """Exit without running destructors: they are slow, and the memory goes with the process."""
    _say(event, **details)
    os._exit(code)


if __name__ == "__main__":
    main()
