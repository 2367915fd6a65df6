"""Mutated VP8 and H.264 against real, locked workers: at most a worker dies, and others run on."""

import asyncio
import dataclasses
import random
from pathlib import Path

import pytest

from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing import ProcessingConfig
from mediasrv.processing.messages import Configure, Counters, InputFrame, OutputFrame
from mediasrv.processing.worker_process import WorkerProcess
from tests.encoded_clips import draw_images, encode

CONFIG = ProcessingConfig(
    pipeline="stand_in_pipeline:open_stand_in",
    python_path=(str(Path(__file__).resolve().parents[1]),),
)
FRAMES = 10_000  # for each codec
TIMEOUT_S = 20.0
# A decoder that gives in to one frame in a hundred would be a way to keep the filter off.
WORKERS_LOST_MAX = FRAMES // 100


class Attacked:
    """One worker after another, fed with whatever comes; counts what they made of it."""

    def __init__(self, codec):
        self.codec = codec
        self.lost = 0
        self.outputs: asyncio.Queue[OutputFrame] = asyncio.Queue()
        self.totals = Counters()
        self._done = Counters()
        self.worker: WorkerProcess | None = None
        self.sent = 0

    async def start(self):
        self.worker = WorkerProcess(CONFIG)
        await self.worker.wait_ready()
        self.worker.attach(Configure(self.codec, Parameters()), self._take)

    async def feed(self, payload, *, keyframe):
        worker = self.worker
        self.sent += 1
        worker.send_frame(InputFrame(self.sent * 3000, keyframe, payload))
        while worker.loss is None and worker.outbox.next_bytes():  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # so that no keyframe replaces what still waits
        if worker.loss is not None:
            self.lost += 1
            await self.close()
            await self.start()

    def seen(self):
        """Frames that some worker has dealt with, as the workers themselves count."""
        both = (self._done, self.totals)
        return sum(each.decoded + each.undecodable + each.dropped for each in both)

    async def until_seen(self, count):
        async with asyncio.timeout(TIMEOUT_S):
            while self.seen() < count:  # noqa: ASYNC110 - the counters come by themselves
                await asyncio.sleep(0.02)

    async def output_of(self, number):
        """The picture made of one frame: it has been through all frames before."""
        async with asyncio.timeout(TIMEOUT_S):
            while (output := await self.outputs.get()).timestamp_ticks != number * 3000:
                pass
        return output

    async def close(self):
        await self.worker.close()
        for declared in dataclasses.fields(Counters):
            value = getattr(self._done, declared.name) + getattr(self.totals, declared.name)
            setattr(self._done, declared.name, value)
        self.totals = Counters()

    def _take(self, message):
        if isinstance(message, OutputFrame):
            self.outputs.put_nowait(message)
        elif isinstance(message, Counters):
            self.totals = message


def mutate(numbers, payload, others):
    """One of the ways in which a bitstream can lie."""
    spoiled = bytearray(payload)
    match numbers.randrange(7):
        case 0:  # single bits
            for _ in range(numbers.randint(1, 8)):
                spoiled[numbers.randrange(len(spoiled))] ^= 1 << numbers.randrange(8)
        case 1:  # headers, where sizes and offsets are
            for _ in range(numbers.randint(1, 4)):
                spoiled[numbers.randrange(min(32, len(spoiled)))] = numbers.randrange(256)
        case 2:  # cut short
            del spoiled[numbers.randrange(1, len(spoiled) + 1) :]
        case 3:  # a piece of another frame
            other = numbers.choice(others)
            at = numbers.randrange(len(spoiled))
            spoiled[at:] = other[min(at, len(other) - 1) :]
        case 4:  # a run of one value
            at = numbers.randrange(len(spoiled))
            spoiled[at : at + 16] = bytes([numbers.choice((0, 1, 255))]) * 16
        case 5:  # grown
            at = numbers.randrange(len(spoiled))
            spoiled[at:at] = numbers.randbytes(numbers.randint(1, 300))
        case 6:  # noise behind a true beginning
            keep = numbers.randint(1, 24)
            spoiled[keep:] = numbers.randbytes(numbers.randint(1, 400))
    return bytes(spoiled)


@pytest.mark.parametrize("codec", Codec, ids=str)
async def test_mutated_frames_crash_at_most_workers_and_other_streams_run_on(codec, caplog):
    numbers = random.Random(f"hostile {codec}")
    frames = [
        frame
        for size in ((96, 64), (160, 96), (64, 160))
        for frame in encode(codec, draw_images(*size, 8), keyframes=(0, 4))
    ]
    payloads = [frame.payload for frame in frames]
    attacked, bystander = Attacked(codec), Attacked(codec)
    await attacked.start()
    await bystander.start()
    try:
        for number in range(FRAMES):
            frame = numbers.choice(frames)
            spoiled = mutate(numbers, frame.payload, payloads)
            # Also deltas that are called keyframes, or nothing would be decoded after an error.
            await attacked.feed(spoiled, keyframe=frame.keyframe or numbers.random() < 0.5)
            if number % 100 == 0:
                good = frames[number // 100 % 8]
                await bystander.feed(good.payload, keyframe=good.keyframe)
        await attacked.feed(frames[0].payload, keyframe=True)
        assert (await attacked.output_of(attacked.sent)).width_px == 96
        await bystander.until_seen(FRAMES // 100)
    finally:
        await attacked.close()
        await bystander.close()
    assert attacked.lost <= WORKERS_LOST_MAX
    assert bystander.lost == 0
    assert bystander._done.undecodable == 0
    assert attacked._done.undecodable > FRAMES // 10  # the mutants do reach the decoder
    assert "for a system call" not in caplog.text
