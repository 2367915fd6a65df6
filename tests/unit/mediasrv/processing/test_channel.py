import dataclasses
import random
import struct
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing import channel, messages
from mediasrv.processing.channel import TO_SERVER, TO_WORKER, MessageReader, pack
from mediasrv.processing.confinement import CONFINEMENT_FIELDS, UNCONFINED, Confinement
from mediasrv.processing.errors import ChannelError
from mediasrv.processing.messages import (
    MAX_FRAME_BYTES,
    STEP_NAMES,
    Configure,
    Counters,
    FrameTimes,
    Hello,
    InputFrame,
    KeyframeCause,
    KeyframeNeeded,
    KeyframeRequest,
    OutputFrame,
    Ready,
    Stop,
)

timestamps = st.integers(0, messages.MAX_TIMESTAMP_TICKS)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
steps = st.integers(0, 2**16 - 1).map(lambda tens: 10 * tens)
sides = st.integers(1, messages.MAX_SIDE_PX)
layers = st.none() | st.integers(0, messages.MAX_LAYERS - 1)
payloads = st.binary(min_size=1, max_size=200)
strengths = st.integers(0, 100)
confinements = st.builds(Confinement, **{name: st.integers(0, 255) for name in CONFINEMENT_FIELDS})
to_worker = st.one_of(
    st.builds(
        Configure,
        st.sampled_from(Codec),
        st.builds(Parameters, smooth=strengths, brighten=strengths, tone=st.integers(-100, 100)),
        st.integers(0, messages.MAX_BITRATE_BPS),
        st.booleans(),
    ),
    st.builds(InputFrame, timestamps, st.booleans(), payloads),
    st.just(KeyframeRequest()),
    st.just(Stop()),
)
to_server = st.one_of(
    st.builds(Hello, st.integers(0, 65535), u32),
    st.builds(Ready, confinements),
    st.builds(
        OutputFrame,
        *(timestamps, st.booleans(), layers, st.booleans()),
        *(sides, sides, u32, u32, u32, u32, payloads),
    ),
    st.builds(KeyframeNeeded, st.sampled_from(KeyframeCause)),
    st.builds(Counters, u32, u32, u32, u32, u32, u32, u32),
    st.builds(FrameTimes, timestamps, u64, u32, u32, u32, u32, *[steps] * len(STEP_NAMES)),
)


def read_all(kinds, *chunks):
    reader = MessageReader(kinds)
    messages = []
    for chunk in chunks:
        reader.feed(chunk)
        while (message := reader.next_message()) is not None:
            messages.append(message)
    return messages


@given(st.lists(to_worker, max_size=5), st.data())
def test_messages_to_the_worker_survive_any_cutting_of_the_stream(messages, data):
    stream = b"".join(map(pack, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    ends = [*cuts, len(stream)]
    chunks = [stream[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    assert read_all(TO_WORKER, *chunks) == messages


@given(st.lists(to_server, max_size=5))
def test_messages_to_the_server_survive_byte_by_byte(messages):
    stream = b"".join(map(pack, messages))
    assert read_all(TO_SERVER, *(stream[i : i + 1] for i in range(len(stream)))) == messages


def test_every_message_has_one_direction():
    for command in (CONFIGURE, InputFrame(0, True, b"x"), KeyframeRequest(), Stop()):
        with pytest.raises(ChannelError):
            read_all(TO_SERVER, pack(command))
    for answer in (Hello(), Ready(), Counters(), FRAME_OUT):
        with pytest.raises(ChannelError):
            read_all(TO_WORKER, pack(answer))
    assert not TO_SERVER & TO_WORKER
    assert set(channel._LAYOUTS) == TO_SERVER | TO_WORKER


def test_an_unknown_kind_is_refused_by_its_first_complete_header():
    for kind in set(range(256)) - TO_SERVER:
        reader = MessageReader(TO_SERVER)
        reader.feed(struct.pack("!BI", kind, 0))
        with pytest.raises(ChannelError):
            reader.next_message()


@pytest.mark.parametrize("kind", sorted(TO_SERVER | TO_WORKER))
@pytest.mark.parametrize("length", [0, 1, 8, 9, 10, 30, 2**22 + 30, 2**31, 2**32 - 1])
def test_a_length_that_does_not_belong_to_the_kind_is_refused_before_the_body_comes(kind, length):
    layout = channel._LAYOUTS[kind]
    reader = MessageReader(TO_SERVER | TO_WORKER)
    reader.feed(struct.pack("!BI", kind, length))
    if layout.allows(length) and length:
        assert reader.next_message() is None
    elif not layout.allows(length):
        with pytest.raises(ChannelError):
            reader.next_message()


def test_the_largest_frame_fits_and_one_byte_more_does_not():
    largest = InputFrame(1, True, bytes(MAX_FRAME_BYTES))
    assert read_all(TO_WORKER, pack(largest)) == [largest]
    with pytest.raises(ChannelError):
        pack(InputFrame(1, True, bytes(MAX_FRAME_BYTES + 1)))
    with pytest.raises(ChannelError):
        pack(InputFrame(1, True, b""))


@pytest.mark.parametrize("ticks", [-1, messages.MAX_TIMESTAMP_TICKS + 1, 2**64, 2**70])
def test_a_timestamp_beyond_any_clock_is_refused_by_its_sender(ticks):
    with pytest.raises(ChannelError):
        pack(InputFrame(ticks, True, b"x"))


def hostile(good, position, layout, value):
    spoiled = bytearray(pack(good))
    struct.pack_into(layout, spoiled, 5 + position, value)
    return bytes(spoiled)


FRAME_OUT = OutputFrame(7, True, 0, False, 640, 360, 1, 2, 3, 4, b"x")
CONFIGURE = Configure(Codec.H264, Parameters(smooth=3))


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(hostile(CONFIGURE, 0, "B", 0), id="codec 0"),
        pytest.param(hostile(CONFIGURE, 0, "B", 3), id="codec 3"),
        pytest.param(hostile(CONFIGURE, 1, "!I", 100_000_001), id="bitrate"),
        pytest.param(hostile(CONFIGURE, 5, "B", 101), id="strength"),
        pytest.param(hostile(InputFrame(0, True, b"x"), 0, "!Q", 2**63), id="timestamp in"),
        pytest.param(hostile(InputFrame(0, True, b"x"), 8, "B", 2), id="flag in"),
        pytest.param(hostile(FRAME_OUT, 0, "!Q", 2**62 + 1), id="timestamp out"),
        pytest.param(hostile(FRAME_OUT, 8, "B", 255), id="flag out"),
        pytest.param(hostile(FRAME_OUT, 9, "B", 4), id="layer"),
        pytest.param(hostile(FRAME_OUT, 10, "B", 2), id="layer flag"),
        pytest.param(hostile(FRAME_OUT, 11, "!H", 0), id="width 0"),
        pytest.param(hostile(FRAME_OUT, 11, "!H", 16384), id="width"),
        pytest.param(hostile(FRAME_OUT, 13, "!H", 0), id="height"),
        pytest.param(hostile(KeyframeNeeded(KeyframeCause.UNDECODABLE), 0, "B", 0), id="cause 0"),
        pytest.param(hostile(KeyframeNeeded(KeyframeCause.UNDECODABLE), 0, "B", 9), id="cause 9"),
    ],
)
def test_a_value_outside_the_schema_is_refused(spoiled):
    with pytest.raises(ChannelError):
        read_all(TO_SERVER | TO_WORKER, spoiled)


def test_random_bytes_raise_only_channel_errors():
    random_numbers = random.Random(20)
    for _ in range(3000):
        kinds = random_numbers.choice([TO_SERVER, TO_WORKER])
        noise = random_numbers.randbytes(random_numbers.randrange(64))
        if random_numbers.random() < 0.7:  # past the first check
            noise = bytes([random_numbers.choice(sorted(kinds)), 0, 0, 0]) + noise
        try:
            read_all(kinds, noise)
        except ChannelError:
            continue


def test_the_buffer_does_not_grow_with_the_stream():
    reader = MessageReader(TO_WORKER)
    packed = pack(InputFrame(0, False, bytes(10_000)))
    for _ in range(200):
        reader.feed(packed)
        assert reader.next_message() is not None
    assert len(reader._buffer) <= len(packed)


def test_durations_and_totals_that_overflow_are_cut_not_refused():
    slow = dataclasses.replace(FRAME_OUT, filter_us=2**40)
    (read,) = read_all(TO_SERVER, pack(slow))
    assert read.filter_us == 2**32 - 1
    (read,) = read_all(TO_SERVER, pack(Counters(decoded=2**40)))
    assert read.decoded == 2**32 - 1


def test_all_filter_parameters_go_over_the_channel():
    everything = Parameters(
        **{name: 10 + number for number, name in enumerate(Parameters().as_dict())}
    )
    (read,) = read_all(TO_WORKER, pack(Configure(Codec.VP8, everything)))
    assert read.parameters == everything
    assert tuple(Parameters().as_dict()) == messages.PARAMETER_NAMES


def test_no_message_has_room_for_what_describes_a_face():
    closed = {int, int | None, bool, Codec, Parameters, KeyframeCause, Confinement}
    for message in typing.get_args(messages.ToWorker) + typing.get_args(messages.ToServer):
        for declared in dataclasses.fields(message):
            is_video = declared.name == "payload" and message in (InputFrame, OutputFrame)
            assert is_video or declared.type in closed, (message, declared.name)
    assert all(isinstance(value, int) for value in Parameters().as_dict().values())
    assert {declared.type for declared in dataclasses.fields(Confinement)} == {int}


def test_only_frames_have_a_body_of_free_length_and_nothing_else_is_longer_than_a_line():
    free = {kind for kind, layout in channel._LAYOUTS.items() if layout.carries_frame}
    assert free == {2, 18}
    assert all(layout.fixed.size <= 64 for layout in channel._LAYOUTS.values())


def test_no_layout_has_a_place_for_a_number_with_a_fraction():
    for layout in channel._LAYOUTS.values():
        assert set(layout.fixed.format) <= set("!0123456789BbHIQ")


def test_what_a_worker_has_given_up_arrives_guard_by_guard():
    one_by_one = [dataclasses.replace(UNCONFINED, **{name: 38}) for name in CONFINEMENT_FIELDS]
    for confinement in one_by_one:
        (read,) = read_all(TO_SERVER, pack(Ready(confinement)))
        assert read.confinement == confinement
