from types import SimpleNamespace

import numpy as np
import pytest

from filters.errors import FilterError
from filters.parameters import Parameters
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import transcoder as module
from mediasrv.processing.errors import ProcessingError
from mediasrv.processing.messages import Configure, InputFrame, KeyframeCause
from mediasrv.processing.transcoder import MAX_FAILURES_IN_A_ROW, Transcoder
from tests.encoded_clips import decode, draw_images, encode, psnr_db
from tests.marker_stage import is_marked, paint

SIZE = (320, 240)


class Recorder:
    """A pipeline that notes what it was given and can refuse it."""

    def __init__(self):
        self.seen = []
        self.elapsed_s = []
        self.failure = None

    def apply(self, image, parameters, *, elapsed_s=0.0):
        self.elapsed_s.append(elapsed_s)
        self.seen.append((image.copy(), parameters))
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(durations_us={"landmarks": 5, "smooth": 1})


@pytest.fixture(params=Codec, ids=str)
def codec(request):
    return request.param


@pytest.fixture
def pipeline():
    return Recorder()


def open_transcoder(codec, pipeline, *stages):
    return Transcoder(Configure(codec, Parameters()), pipeline, stages)


def take(transcoder, frame):
    return transcoder.decode(InputFrame(frame.timestamp_ticks, frame.keyframe, frame.payload))


def as_encoded(codec, output):
    return EncodedFrame(codec, output.timestamp_ticks, output.keyframe, output.payload)


def test_every_image_comes_out_with_its_timestamp_and_size(codec, pipeline):
    images = draw_images(*SIZE, 6)
    transcoder = open_transcoder(codec, pipeline)
    outputs = []
    for frame in encode(codec, images, first_ticks=777):
        assert take(transcoder, frame) is None
        outputs.append(transcoder.encode_next())
    assert [out.timestamp_ticks for out in outputs] == [777 + 3000 * n for n in range(6)]
    assert [out.keyframe for out in outputs] == [True] + [False] * 5
    assert {(out.width_px, out.height_px) for out in outputs} == {SIZE}
    for image, seen in zip(
        images, decode(codec, [as_encoded(codec, out) for out in outputs]), strict=True
    ):
        assert psnr_db(image, seen) > 30


def test_newest_wins_but_everything_is_decoded(codec, pipeline):
    frames = encode(codec, draw_images(*SIZE, 5))
    expected = list(decode(codec, frames))
    transcoder = open_transcoder(codec, pipeline)
    for frame in frames:
        take(transcoder, frame)
    output = transcoder.encode_next()
    assert output.timestamp_ticks == frames[-1].timestamp_ticks
    assert not transcoder.has_image
    assert transcoder.encode_next() is None
    (seen, _), *others = pipeline.seen
    assert not others
    np.testing.assert_array_equal(seen.y, expected[-1].y)
    counters = transcoder.counters
    assert (counters.decoded, counters.skipped, counters.encoded) == (5, 4, 1)


def test_filtering_does_not_reach_the_decoders_references(codec):
    class Blackout:
        def apply(self, image, parameters, *, elapsed_s):
            image.y[:] = 16
            return SimpleNamespace(durations_us={})

    pipeline, recorder = Blackout(), Recorder()
    frames = encode(codec, draw_images(*SIZE, 8))
    transcoder = open_transcoder(codec, pipeline, lambda image: recorder.apply(image, None))
    for frame, expected in zip(frames, decode(codec, frames), strict=True):
        take(transcoder, frame)
        transcoder.encode_next()
        np.testing.assert_array_equal(recorder.seen[-1][0].y, expected.y)


def test_front_stages_run_in_their_order_before_the_pipeline(codec, pipeline):
    order = []
    transcoder = open_transcoder(
        codec, pipeline, lambda _: order.append(1), lambda _: order.append(2), paint
    )
    take(transcoder, encode(codec, draw_images(*SIZE, 1))[0])
    output = transcoder.encode_next()
    assert order == [1, 2]
    assert is_marked(pipeline.seen[0][0].y)
    (seen,) = decode(codec, [as_encoded(codec, output)])
    assert is_marked(seen.y)


def test_new_settings_hold_from_the_next_image_on(codec, pipeline):
    transcoder = open_transcoder(codec, pipeline)
    first, second = encode(codec, draw_images(*SIZE, 2))
    take(transcoder, first)
    transcoder.encode_next()
    transcoder.configure(Configure(codec, Parameters(smooth=40)))
    take(transcoder, second)
    transcoder.encode_next()
    assert [parameters.smooth for _, parameters in pipeline.seen] == [0, 40]


def test_the_codec_cannot_change(pipeline):
    transcoder = open_transcoder(Codec.VP8, pipeline)
    with pytest.raises(ProcessingError):
        transcoder.configure(Configure(Codec.H264, Parameters()))


def test_a_keyframe_request_is_fulfilled_once(codec, pipeline):
    transcoder = open_transcoder(codec, pipeline)
    outputs = []
    for number, frame in enumerate(encode(codec, draw_images(*SIZE, 5))):
        if number == 2:
            transcoder.request_keyframe()
            transcoder.request_keyframe()
        take(transcoder, frame)
        outputs.append(transcoder.encode_next().keyframe)
    assert outputs == [True, False, True, False, False]


def test_a_stream_joined_midway_gives_nothing_until_a_keyframe(codec, pipeline):
    frames = encode(codec, draw_images(*SIZE, 6), keyframes=(0, 4))
    transcoder = open_transcoder(codec, pipeline)
    for frame in frames[1:4]:
        assert take(transcoder, frame) is KeyframeCause.STARTED_MIDWAY
        assert transcoder.encode_next() is None
    assert take(transcoder, frames[4]) is None
    assert transcoder.encode_next().keyframe
    assert transcoder.counters.dropped == 3


def test_damage_is_counted_and_an_image_from_before_it_may_still_come_out(codec, pipeline):
    frames = encode(codec, draw_images(*SIZE, 3))
    transcoder = open_transcoder(codec, pipeline)
    take(transcoder, frames[0])
    damaged = InputFrame(3000, False, frames[1].payload[:3])
    assert transcoder.decode(damaged) is KeyframeCause.UNDECODABLE
    assert take(transcoder, frames[2]) is KeyframeCause.STARTED_MIDWAY
    assert transcoder.encode_next().timestamp_ticks == 0
    assert transcoder.encode_next() is None
    assert transcoder.counters.undecodable == 1


def test_an_unsupported_stream_is_named_as_such(pipeline):
    frames = encode(
        Codec.H264, draw_images(64, 64, 1), layout="yuv444p", options={"profile": "high444"}
    )
    transcoder = open_transcoder(Codec.H264, pipeline)
    assert take(transcoder, frames[0]) is KeyframeCause.UNSUPPORTED
    assert not transcoder.has_image


def test_an_image_that_a_filter_refuses_is_lost_and_never_shown_unfiltered(codec, pipeline):
    transcoder = open_transcoder(codec, pipeline)
    first, second = encode(codec, draw_images(*SIZE, 2))
    pipeline.failure = FilterError("no")
    take(transcoder, first)
    assert transcoder.encode_next() is None
    pipeline.failure = None
    take(transcoder, second)
    assert transcoder.encode_next().keyframe
    assert transcoder.counters.filter_failures == 1


def test_a_pipeline_that_fails_again_and_again_is_given_up(codec, pipeline):
    transcoder = open_transcoder(codec, pipeline)
    pipeline.failure = FilterError("no")
    frames = encode(codec, draw_images(64, 64, MAX_FAILURES_IN_A_ROW))
    for frame in frames[:-1]:
        take(transcoder, frame)
        assert transcoder.encode_next() is None
    take(transcoder, frames[-1])
    with pytest.raises(ProcessingError):
        transcoder.encode_next()


def test_an_unknown_error_of_a_filter_is_not_swallowed(codec, pipeline):
    transcoder = open_transcoder(codec, pipeline)
    pipeline.failure = RuntimeError("a bug")
    take(transcoder, encode(codec, draw_images(*SIZE, 1))[0])
    with pytest.raises(RuntimeError):
        transcoder.encode_next()


def test_a_frame_too_large_to_send_is_followed_by_a_keyframe(codec, pipeline, monkeypatch):
    transcoder = open_transcoder(codec, pipeline)
    first, second, third = encode(codec, draw_images(*SIZE, 3))
    take(transcoder, first)
    transcoder.encode_next()
    monkeypatch.setattr(module, "MAX_FRAME_BYTES", 1)
    take(transcoder, second)
    assert transcoder.encode_next() is None
    monkeypatch.undo()
    take(transcoder, third)
    assert transcoder.encode_next().keyframe


def test_the_size_may_change_in_mid_stream(codec, pipeline):
    transcoder = open_transcoder(codec, pipeline)
    outputs = []
    for size in ((320, 240), (160, 96), (96, 160), (320, 240)):
        for frame in encode(codec, draw_images(*size, 2)):
            take(transcoder, frame)
            outputs.append(transcoder.encode_next())
    assert [out.keyframe for out in outputs] == [True, False] * 4
    seen = [
        (image.width_px, image.height_px)
        for image in decode(codec, [as_encoded(codec, out) for out in outputs])
    ]
    assert seen == [(out.width_px, out.height_px) for out in outputs]
    assert transcoder.counters.encoders_opened == 4


@pytest.mark.parametrize(
    ("ticks", "elapsed_s"),
    [(3000, 1 / 30), (6000, 1 / 15), (0, 0.001), (-3000, 0.001), (10**9, 1.0)],
)
def test_the_pipeline_hears_how_much_time_has_passed(pipeline, ticks, elapsed_s):
    transcoder = open_transcoder(Codec.VP8, pipeline)
    first, second = encode(Codec.VP8, draw_images(*SIZE, 2), first_ticks=90_000)
    take(transcoder, first)
    transcoder.encode_next()
    transcoder.decode(InputFrame(90_000 + ticks, False, second.payload))
    transcoder.encode_next()
    assert pipeline.elapsed_s == pytest.approx([1 / 30, elapsed_s])


def test_durations_are_told_by_part(codec, pipeline):
    transcoder = open_transcoder(codec, pipeline)
    take(transcoder, encode(codec, draw_images(*SIZE, 1))[0])
    output = transcoder.encode_next()
    assert output.landmarks_us == 5
    assert output.decode_us > 0
    assert output.encode_us > 0
    assert output.filter_us >= 0


class Paced:
    """A pipeline that notes what time it is given, and says that it took 10 ms."""

    def __init__(self):
        self.budgets_us = []

    def apply(self, image, parameters, *, elapsed_s):
        return SimpleNamespace(durations_us={"smooth": 10_000})

    def allow(self, budget_us):
        self.budgets_us.append(budget_us)


def play(monkeypatch, pipeline, *, busy, cpu_share):
    """Images that take a part of the frame interval, of which the processor gives a share."""
    wall = SimpleNamespace(ns=0)

    def tick():
        wall.ns += int(busy * 33_333_333 / 8)  # so often is the clock looked at for one image
        return wall.ns

    clock = SimpleNamespace(perf_counter_ns=tick, thread_time_ns=lambda: int(wall.ns * cpu_share))
    monkeypatch.setattr(module, "time", clock)
    transcoder = open_transcoder(Codec.VP8, pipeline)
    hurried = []
    monkeypatch.setattr(transcoder._encoder, "hurry", hurried.append)
    for frame in encode(Codec.VP8, draw_images(64, 64, 60)):
        take(transcoder, frame)
        transcoder.encode_next()
    return hurried


@pytest.mark.parametrize("cpu_share", [1.0, 0.33])
def test_on_a_full_core_the_encoder_hurries_and_the_filters_get_less_time(monkeypatch, cpu_share):
    pipeline = Paced()
    hurried = play(monkeypatch, pipeline, busy=1.3, cpu_share=cpu_share)
    assert (hurried[0], hurried[-1]) == (False, True)
    assert pipeline.budgets_us[-1] < 10_000


def test_on_a_free_core_nobody_hurries(monkeypatch):
    pipeline = Paced()
    assert not any(play(monkeypatch, pipeline, busy=0.4, cpu_share=1.0))
    assert pipeline.budgets_us[-1] > 15_000


def test_a_pipeline_that_cannot_be_quicker_is_not_asked(monkeypatch, pipeline):
    assert play(monkeypatch, pipeline, busy=1.3, cpu_share=1.0)[-1]
