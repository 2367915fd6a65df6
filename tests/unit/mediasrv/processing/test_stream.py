import asyncio
import time
from types import SimpleNamespace

import pytest

from filters.errors import ParameterError
from filters.parameters import Parameters
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import BeautyStream, FilterState, ProcessingConfig, WorkersExhausted
from mediasrv.processing.errors import ChannelError, ProcessingError, WorkerStartFailed
from mediasrv.processing.messages import (
    Configure,
    Counters,
    InputFrame,
    KeyframeCause,
    KeyframeNeeded,
    KeyframeRequest,
    OutputFrame,
)
from mediasrv.processing.outbox import Outbox
from mediasrv.processing.supervision import WorkerLoss


class FakeWorker:
    """A worker without a process: notes what it is sent, says what the test makes it say."""

    def __init__(self):
        self.pid = 4711
        self.loss = None
        self.outbox = Outbox(10_000, 3)
        self.sent = []
        self.takes_input = True
        self._lost = asyncio.Event()
        self._on_message = lambda _: None

    def attach(self, configure, on_message):
        self._on_message = on_message
        self.sent.append(configure)

    def detach(self):
        self._on_message = lambda _: None

    def send_frame(self, frame):
        taken = self.outbox.offer(frame)
        if taken and self.takes_input:
            self.pump()
        return taken

    def pump(self):
        while waiting := self.outbox.next_bytes():
            self.sent.append(bytes(waiting))
            self.outbox.mark_sent(len(waiting))

    def say(self, message):
        try:
            self._on_message(message)
        except ChannelError:
            self.lose(WorkerLoss.BROKE_PROTOCOL)

    def say_frame(self, ticks, *, keyframe=False):
        self.say(OutputFrame(ticks, keyframe, 2, True, 640, 360, 1, 2, 3, 4, b"out"))

    def lose(self, loss):
        self.loss = self.loss or loss
        self._lost.set()

    async def wait_lost(self):
        await self._lost.wait()
        return self.loss

    @property
    def commands(self):
        """What was packed for it, as kinds of messages."""
        kinds = {1: Configure, 2: InputFrame, 3: KeyframeRequest}
        return [kinds[packed[0]] for packed in self.sent if isinstance(packed, bytes)]


class FakeSpares:
    """Hands out fake workers; start failures can be ordered."""

    def __init__(self):
        self.workers = []
        self.retired = []
        self.admitted = 0
        self.limit = 1
        self.fails = False

    def admit(self):
        if self.admitted >= self.limit:
            raise WorkersExhausted("full")
        self.admitted += 1

    def dismiss(self):
        self.admitted -= 1

    async def take(self):
        await asyncio.sleep(0)
        if self.fails:
            raise WorkerStartFailed("no")
        self.workers.append(FakeWorker())
        return self.workers[-1]

    def retire(self, worker):
        self.retired.append(worker)
        worker.detach()
        return asyncio.create_task(asyncio.sleep(0))


@pytest.fixture
async def bench():
    """One stream on fake workers, with everything it says."""
    said = SimpleNamespace(frames=[], states=[], keyframes_asked=0, spares=FakeSpares())

    def ask():
        said.keyframes_asked += 1

    said.make = lambda parameters=None, **settings: BeautyStream(
        ProcessingConfig(**{"retry_interval_s": 0.01, **settings}),
        said.spares,
        Codec.VP8,
        parameters or {},
        on_frame=said.frames.append,
        on_state=lambda *state: said.states.append(state),
        on_keyframe_needed=ask,
    )
    said.stream = said.make()
    yield said
    await said.stream.close()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def opened(bench, **settings):
    if settings:
        bench.stream = bench.make(**settings)
    await bench.stream.open()
    await settle()
    return bench.spares.workers[-1]


def frame(ticks, *, keyframe=False, codec=Codec.VP8, payload=b"in"):
    return EncodedFrame(codec, ticks, keyframe, payload)


def answer(bench, worker, ticks, *, keyframe=False):
    """Feed a frame and let a worker answer it."""
    bench.stream.feed(frame(ticks, keyframe=True))
    worker.say_frame(ticks, keyframe=keyframe)


async def test_it_starts_asks_for_a_keyframe_and_is_on_with_the_first_frame_out(bench):
    worker = await opened(bench)
    assert bench.states == [(FilterState.STARTING, None)]
    assert bench.keyframes_asked == 1
    assert bench.stream.worker_pid == 4711
    assert bench.stream.feed(frame(3000, keyframe=True))
    worker.say_frame(3000, keyframe=True)
    assert bench.frames == [EncodedFrame(Codec.VP8, 3000, True, b"out", 2, True)]
    assert bench.states[1:] == [(FilterState.ON, None)]
    assert bench.stream.state is FilterState.ON


async def test_input_is_never_output(bench):
    assert not bench.stream.feed(frame(0, keyframe=True))  # not open yet
    worker = await opened(bench)
    for ticks in range(5):
        bench.stream.feed(frame(ticks, keyframe=ticks == 0))
    worker.lose(WorkerLoss.CRASHED)
    assert not bench.stream.feed(frame(6, keyframe=True))
    await settle()
    bench.stream.feed(frame(7, keyframe=True))
    await bench.stream.close()
    assert not bench.stream.feed(frame(8, keyframe=True))
    assert bench.frames == []


async def test_delta_frames_are_dropped_until_a_keyframe_which_is_asked_for(bench):
    await opened(bench, keyframe_interval_s=0.0)
    assert not bench.stream.feed(frame(0))
    assert not bench.stream.feed(frame(1))
    assert bench.keyframes_asked == 3
    assert bench.stream.feed(frame(2, keyframe=True))
    assert bench.stream.feed(frame(3))
    assert bench.stream.counters.frames_in == 4
    assert bench.stream.counters.frames_dropped == 2


async def test_keyframes_are_asked_for_at_a_calm_pace(bench):
    await opened(bench, keyframe_interval_s=60.0)
    for ticks in range(100):
        bench.stream.feed(frame(ticks))
    assert bench.keyframes_asked == 1


async def test_a_full_outbox_drops_up_to_the_next_keyframe_and_asks_for_it(bench):
    worker = await opened(bench, keyframe_interval_s=0.0)
    worker.takes_input = False
    assert [bench.stream.feed(frame(n, keyframe=n == 0)) for n in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert bench.keyframes_asked == 3
    assert bench.stream.feed(frame(5, keyframe=True))


async def test_after_a_gap_in_the_hosts_stream_only_a_keyframe_is_taken(bench):
    await opened(bench, keyframe_interval_s=0.0)
    bench.stream.feed(frame(0, keyframe=True))
    bench.stream.skip_to_keyframe()
    assert bench.keyframes_asked == 2
    assert not bench.stream.feed(frame(2))
    assert bench.stream.feed(frame(3, keyframe=True))


@pytest.mark.parametrize(
    "odd",
    [
        frame(0, keyframe=True, codec=Codec.H264),
        frame(0, keyframe=True, payload=b""),
        frame(0, keyframe=True, payload=bytes(4 * 1024 * 1024 + 1)),
        frame(-1, keyframe=True),
        frame(2**63, keyframe=True),
    ],
    ids=["codec", "empty", "huge", "negative time", "endless time"],
)
async def test_a_frame_that_cannot_be_processed_is_dropped_and_harms_nothing(bench, odd):
    worker = await opened(bench)
    assert not bench.stream.feed(odd)
    assert worker.loss is None
    assert bench.stream.feed(frame(1, keyframe=True))


async def test_the_first_frame_of_a_worker_must_be_a_keyframe(bench):
    worker = await opened(bench)
    answer(bench, worker, 0)
    await settle()
    assert bench.frames == []
    assert bench.states[-1] == (FilterState.RECOVERING, WorkerLoss.BROKE_PROTOCOL)
    second = bench.spares.workers[-1]
    assert second is not worker
    answer(bench, second, 3000)
    await settle()
    assert bench.frames == []


@pytest.mark.parametrize("made_up", [0, 3001, 9000], ids=["answered", "unknown", "not yet fed"])
async def test_a_worker_that_makes_up_frames_is_replaced(bench, made_up):
    worker = await opened(bench)
    answer(bench, worker, 0, keyframe=True)
    bench.stream.feed(frame(3000))
    bench.stream.feed(frame(6000))
    worker.say_frame(made_up)
    await settle()
    assert bench.states[-1] == (FilterState.RECOVERING, WorkerLoss.BROKE_PROTOCOL)
    assert len(bench.frames) == 1


async def test_a_worker_may_skip_frames(bench):
    worker = await opened(bench)
    for ticks in (0, 3000, 6000, 9000):
        bench.stream.feed(frame(ticks, keyframe=ticks == 0))
    worker.say_frame(3000, keyframe=True)
    worker.say_frame(9000)
    assert [each.timestamp_ticks for each in bench.frames] == [3000, 9000]
    assert worker.loss is None


async def test_a_lost_worker_is_replaced_at_once_and_the_host_is_told(bench):
    worker = await opened(bench)
    answer(bench, worker, 0, keyframe=True)
    worker.lose(WorkerLoss.CRASHED)
    await settle()
    assert bench.states[-1] == (FilterState.RECOVERING, "worker_crashed")
    assert bench.keyframes_asked == 2  # at once, although one was asked for a moment ago
    assert bench.spares.retired == [worker]
    replacement = bench.spares.workers[-1]
    answer(bench, worker, 1)  # what a dead worker still has to say is not heard
    answer(bench, replacement, 2, keyframe=True)
    assert [each.timestamp_ticks for each in bench.frames] == [0, 2]
    assert bench.states[-1] == (FilterState.ON, None)
    assert bench.stream.counters.workers_lost == 1


async def test_a_replacement_gets_the_newest_settings(bench):
    worker = await opened(bench)
    bench.stream.configure({"smooth": 30})
    bench.stream.aim_at(700_000)
    worker.lose(WorkerLoss.CRASHED)
    await settle()
    (configure,) = bench.spares.workers[-1].sent
    assert configure == Configure(Codec.VP8, Parameters(smooth=30), 700_000)


async def test_a_worker_that_stays_silent_when_fed_is_replaced(bench):
    worker = await opened(bench, hang_timeout_s=0.0)
    bench.stream.feed(frame(0, keyframe=True))
    await asyncio.wait_for(worker.wait_lost(), 5.0)
    await settle()
    assert bench.states[-1] == (FilterState.RECOVERING, WorkerLoss.HUNG)


async def test_while_the_server_itself_stands_still_no_worker_counts_as_silent(bench):
    worker = await opened(bench, hang_timeout_s=0.5)
    bench.stream.feed(frame(0, keyframe=True))
    await settle()
    time.sleep(0.8)  # noqa: ASYNC251 - what came meanwhile could not be read
    await asyncio.sleep(0.15)
    assert worker.loss is None
    await asyncio.wait_for(worker.wait_lost(), 5.0)


async def test_a_worker_that_is_not_fed_may_stay_silent(bench):
    worker = await opened(bench, hang_timeout_s=0.0)
    bench.stream.feed(frame(0, keyframe=True))
    worker.say(Counters(undecodable=1))
    await asyncio.sleep(0.25)  # two looks of the watchdog
    assert worker.loss is None
    assert bench.stream.worker_counters.undecodable == 1


async def test_three_losses_make_it_unavailable_and_it_is_tried_again(bench):
    await opened(bench)
    for _ in range(3):
        bench.spares.workers[-1].lose(WorkerLoss.CRASHED)
        await settle()
    assert [state for state, _ in bench.states] == [
        FilterState.STARTING,
        FilterState.RECOVERING,
        FilterState.UNAVAILABLE,
    ]
    assert bench.states[-1] == (FilterState.UNAVAILABLE, "worker_crashed")
    assert len(bench.spares.workers) == 3
    await asyncio.sleep(0.05)
    assert len(bench.spares.workers) == 4
    answer(bench, bench.spares.workers[-1], 0, keyframe=True)
    assert bench.states[-1] == (FilterState.ON, None)


async def test_workers_that_do_not_start_make_it_unavailable_too(bench):
    bench.spares.fails = True
    await bench.stream.open()
    await settle()
    await settle()
    assert bench.states[-1] == (FilterState.UNAVAILABLE, "worker_start_failed")
    bench.spares.fails = False
    await asyncio.sleep(0.05)
    answer(bench, bench.spares.workers[-1], 0, keyframe=True)
    assert bench.states[-1] == (FilterState.ON, None)


async def test_the_workers_wish_for_a_keyframe_reaches_the_host(bench):
    worker = await opened(bench, keyframe_interval_s=0.0)
    worker.say(KeyframeNeeded(KeyframeCause.UNDECODABLE))
    assert bench.keyframes_asked == 2


async def test_a_keyframe_request_reaches_the_worker(bench):
    bench.stream.request_keyframe()  # nobody there yet: the first frame is a keyframe anyway
    worker = await opened(bench)
    bench.stream.request_keyframe()
    assert worker.commands == [KeyframeRequest]


async def test_bad_parameters_are_refused_and_the_old_ones_stay(bench):
    with pytest.raises(ParameterError):
        bench.make({"smooth": 101})
    worker = await opened(bench)
    with pytest.raises(ParameterError):
        bench.stream.configure({"wings": 3})
    assert worker.commands == []


async def test_a_refused_stream_leaves_no_trace(bench):
    bench.spares.limit = 0
    with pytest.raises(WorkersExhausted):
        await bench.stream.open()
    assert bench.states == []
    await bench.stream.close()
    assert bench.spares.admitted == 0


async def test_closing_gives_the_admission_back_and_is_final(bench):
    worker = await opened(bench)
    answer(bench, worker, 0, keyframe=True)
    assert bench.spares.admitted == 1
    await bench.stream.close("test")
    await bench.stream.close("again")
    assert bench.spares.admitted == 0
    assert bench.spares.retired == [worker]
    assert bench.states[-1] == (FilterState.OFF, None)
    answer(bench, worker, 1)
    assert len(bench.frames) == 1
    with pytest.raises(ProcessingError):
        await bench.stream.open()


async def test_closing_while_no_worker_is_there_yet(bench):
    await bench.stream.open()
    await bench.stream.close()
    assert bench.states[-1] == (FilterState.OFF, None)
    assert bench.spares.admitted == 0


async def test_durations_add_up(bench):
    worker = await opened(bench)
    answer(bench, worker, 0, keyframe=True)
    answer(bench, worker, 1)
    counters = bench.stream.counters
    assert (counters.frames_out, counters.decode_us, counters.landmarks_us) == (2, 2, 4)
    assert (counters.filter_us, counters.encode_us) == (6, 8)
