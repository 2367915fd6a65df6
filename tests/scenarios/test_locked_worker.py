"""The real worker, with an attacker inside: what gets out is the picture, and the picture tells."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from filters.parameters import Parameters
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import ProcessingConfig, SandboxLevel
from mediasrv.processing.messages import Configure, InputFrame, OutputFrame
from mediasrv.processing.supervision import WorkerLoss
from mediasrv.processing.worker_process import WorkerProcess
from tests.encoded_clips import decode, draw_images, encode
from tests.probing_stage import DEADLY, TARGETS, TRIED, read_blocks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guards are Linux's")

REPOSITORY = str(Path(__file__).resolve().parents[2])
TIMEOUT_S = 20.0
WIDTH_PX, HEIGHT_PX = 320, 240


@pytest.fixture
def targets(tmp_path):
    """Where each way would lead: files, a port, a socket, this very process."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file").write_text("something")
    abstract = f"mediasrv-test-{os.getpid()}-{tmp_path.name}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + abstract)
        unix.listen()
        yield {
            "directory": str(inside),
            "file": str(inside / "file"),
            "tcp_port": tcp.getsockname()[1],
            "abstract": abstract,
            "victim": os.getpid(),
            "address": id(tmp_path),
            "ways": TRIED,
        }


@pytest.fixture
async def attack(targets, tmp_path):
    """Start a worker with the attacker in it and feed it one frame."""
    workers = []

    async def attack(level, ways, pipeline="tests.stand_in_pipeline:open_stand_in"):
        (tmp_path / TARGETS).write_text(json.dumps({**targets, "ways": list(ways)}))
        config = ProcessingConfig(
            pipeline=pipeline,
            extra_stages=("tests.probing_stage:open_prober",),
            python_path=(REPOSITORY, str(tmp_path)),
            sandbox=level,
        )
        worker = WorkerProcess(config)
        workers.append(worker)
        await worker.wait_ready()
        outputs: asyncio.Queue[OutputFrame] = asyncio.Queue()

        def take(message):
            if isinstance(message, OutputFrame):
                outputs.put_nowait(message)

        worker.attach(Configure(Codec.VP8, Parameters()), take)
        (frame,) = encode(Codec.VP8, draw_images(WIDTH_PX, HEIGHT_PX, 1))
        worker.send_frame(InputFrame(0, True, frame.payload))
        return worker, outputs

    yield attack
    for worker in workers:
        await worker.close()


async def open_ways(outputs):
    output = await asyncio.wait_for(outputs.get(), TIMEOUT_S)
    (image,) = decode(Codec.VP8, [EncodedFrame(Codec.VP8, 0, True, output.payload)])
    found = read_blocks(image.y, len(TRIED))
    return [name for name, is_open in zip(TRIED, found, strict=True) if is_open]


async def test_without_the_sandbox_the_attacker_finds_every_way_open(attack):
    _, outputs = await attack(SandboxLevel.OFF, TRIED)
    assert await open_ways(outputs) == list(TRIED)


@pytest.mark.parametrize(
    "pipeline", ["tests.stand_in_pipeline:open_stand_in", ProcessingConfig().pipeline]
)
async def test_in_the_locked_worker_every_way_is_closed(attack, targets, pipeline):
    worker, outputs = await attack(SandboxLevel.STRICT, TRIED, pipeline)
    assert await open_ways(outputs) == []
    assert worker.confinement.reached is SandboxLevel.STRICT
    assert os.listdir(targets["directory"]) == ["file"]
    assert psutil.Process(worker.pid).num_threads() == 1


@pytest.mark.parametrize("way", DEADLY)
async def test_the_gravest_attempts_end_the_worker(attack, way, caplog):
    worker, outputs = await attack(SandboxLevel.STRICT, [way])
    assert await asyncio.wait_for(worker.wait_lost(), TIMEOUT_S) is WorkerLoss.CRASHED
    assert outputs.empty()
    await worker.close()
    assert "for a system call that no worker makes" in caplog.text
