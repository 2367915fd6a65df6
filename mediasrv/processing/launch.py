"""Starts a worker process with nothing of ours in it but one socket and a way to complain."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import mediasrv
from mediasrv.processing.config import ProcessingConfig

MODULE = "mediasrv.processing.worker"
# No user site, no current directory on the path, no bytecode written.
INTERPRETER_FLAGS = ("-s", "-P", "-B")
# The whole environment of a worker, beside PYTHONPATH. Nothing of the server's own gets in:
# secrets are often passed that way, and a crash dump of a worker would hold them.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "PATH": "/usr/bin:/bin",
    # One thread each: the stream is the unit of parallelism, and pools would fight for cores.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    # Warnings and worse only, of TensorFlow Lite and MediaPipe.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "GLOG_minloglevel": "2",
}
# Needed to find libpython where the interpreter was built that way; holds no secrets.
INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class Launched(NamedTuple):
    """A process that has just been started.

    Attributes:
        process: Its handle; ``stderr`` is a pipe to read without blocking.
        channel: The server's end of the socket pair, non-blocking.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket


def launch(config: ProcessingConfig) -> Launched:
    """Start one worker; returns when the interpreter runs (about a millisecond).

    Call it on a thread that lives as long as the server: the kernel ends a worker together with
    the thread that started it. A new interpreter, never a fork: the libraries inside have
    threads and locks that do not survive one.

    Raises:
        OSError: The process or its socket could not be created.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        ours.setblocking(False)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            _command(config, theirs.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=worker_environment(config, os.environ),
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Launched(process, ours)


def worker_environment(config: ProcessingConfig, inherited: Mapping[str, str]) -> dict[str, str]:
    """The complete environment of a worker."""
    root = str(Path(mediasrv.__file__).resolve().parent.parent)
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join((*config.python_path, root))}
    environment.update({name: inherited[name] for name in INHERITED if name in inherited})
    return environment


def _command(config: ProcessingConfig, channel_fd: int) -> list[str]:
    stages = [argument for name in config.extra_stages for argument in ("--front-stage", name)]
    return [
        *(sys.executable, *INTERPRETER_FLAGS, "-m", MODULE),
        *("--channel", str(channel_fd), "--parent", str(os.getpid())),
        *("--sandbox", config.sandbox, "--pipeline", config.pipeline, *stages),
    ]
