"""The lines of simulcast in an offer and an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.errors import NegotiationError
from mediasrv.transport.simulcast import (
    STREAMS_MAX,
    SimulcastStream,
    read_simulcast,
    write_simulcast,
)

# As Chromium writes it for encodings of which two are not active.
CHROMIUM = ["a=rid:q send", "a=rid:h send", "a=rid:f send", "a=simulcast:send ~q;~h;f"]
# Firefox describes each stream, and a phone may say what it receives as well.
FIREFOX = ["a=rid:q send pt=120;max-width=320", "a=rid:f send", "a=simulcast:send q;f"]
BOTH_WAYS = ["a=rid:q send", "a=rid:r recv", "a=simulcast:recv r send q"]


def test_streams_come_in_the_order_of_the_offer_and_paused_ones_are_known():
    assert read_simulcast(CHROMIUM) == (
        SimulcastStream("q", paused=True),
        SimulcastStream("h", paused=True),
        SimulcastStream("f", paused=False),
    )


def test_restrictions_of_a_stream_are_passed_over():
    assert [s.rid for s in read_simulcast(FIREFOX)] == ["q", "f"]


def test_what_the_peer_would_receive_is_not_ours():
    assert [s.rid for s in read_simulcast(BOTH_WAYS)] == ["q"]
    assert read_simulcast(["a=rid:r recv", "a=simulcast:recv r"]) == ()


def test_of_alternatives_the_first_one_counts():
    lines = ["a=rid:a send", "a=rid:b send", "a=rid:c send", "a=simulcast:send a,b;~c"]
    assert [s.rid for s in read_simulcast(lines)] == ["a", "c"]


def test_one_stream_is_no_simulcast():
    assert read_simulcast(["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1"]) == ()
    assert read_simulcast(["a=rid:f send"]) == ()


def sends(*rids):
    return [*(f"a=rid:{rid} send" for rid in rids), f"a=simulcast:send {';'.join(rids)}"]


@pytest.mark.parametrize(
    "lines",
    [
        sends(*(f"r{i}" for i in range(STREAMS_MAX + 1))),
        sends("x" * 17),
        sends("a b"),
        sends("\u00e9"),
        ["a=rid: send", "a=simulcast:send q"],
        ["a=rid:q send", "a=rid:q send", "a=simulcast:send q"],
        ["a=rid:q send", "a=rid:q recv", "a=simulcast:send q"],
        ["a=rid:q send", "a=simulcast:send q;q"],
        ["a=rid:q send", "a=simulcast:send q;~q"],
        ["a=rid:q send", "a=simulcast:send q;h"],
        ["a=rid:q recv", "a=simulcast:send q"],
        ["a=rid:q send", "a=simulcast:send q;"],
        ["a=rid:q send", "a=simulcast:send ~~q"],
        ["a=rid:q send", "a=simulcast:send"],
        ["a=rid:q send", "a=simulcast:"],
        ["a=rid:q send", "a=simulcast:give q"],
        ["a=rid:q send", "a=simulcast:send q send q send q"],
        ["a=rid:q send", "a=simulcast:send q", "a=simulcast:send q"],
    ],
)
def test_what_is_malformed_is_refused(lines):
    with pytest.raises(NegotiationError):
        read_simulcast(lines)


def test_as_many_as_there_may_be_are_taken():
    rids = [f"r{i}" for i in range(STREAMS_MAX)]
    assert [s.rid for s in read_simulcast(sends(*rids))] == rids


@given(
    st.lists(
        st.sampled_from(["a=rid:", "a=simulcast:"]).flatmap(
            lambda head: st.text(st.sampled_from(" ~;,qhf0sendrcv="), max_size=30).map(head.__add__)
        ),
        max_size=8,
    )
)
def test_hostile_lines_raise_nothing_but_negotiation_errors(lines):
    try:
        streams = read_simulcast(lines)
    except NegotiationError:
        return
    assert len({s.rid for s in streams}) == len(streams) <= STREAMS_MAX


def test_the_answer_receives_all_and_leaves_paused_what_was():
    assert write_simulcast(read_simulcast(CHROMIUM)) == [
        "a=rid:q recv",
        "a=rid:h recv",
        "a=rid:f recv",
        "a=simulcast:recv ~q;~h;f",
    ]
    assert write_simulcast(()) == []
