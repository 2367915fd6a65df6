from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.numbering import STRETCHES_MAX, Numbering


def numbering(first_number=100, *, begins=1000):
    made = Numbering(first_number)
    made.begin(begins)
    return made


def send(numbers, *sequences):
    """Send packets of the track; returns the viewer's numbers for them."""
    out = []
    for sequence in sequences:
        stretch = numbers.place(sequence)
        assert stretch is not None
        numbers.sent(sequence, stretch)
        out.append(sequence + stretch.offset)
    return out


def skip(numbers, *sequences, picture_id=None):
    for sequence in sequences:
        numbers.skip(sequence, sequence + 1, picture_id)


def test_before_it_begins_nothing_has_a_place_or_can_be_asked_for():
    numbers = Numbering(100)
    assert numbers.place(0) is None
    assert numbers.find(99) is None
    assert numbers.find(100) is None


def test_numbers_go_on_without_a_hole_at_every_beginning():
    numbers = numbering()
    assert send(numbers, 1000, 1001) == [100, 101]
    numbers.begin(5000)
    assert send(numbers, 5000) == [102]


def test_a_torn_frame_leaves_one_number_out():
    numbers = numbering()
    send(numbers, 1000)
    numbers.tear()
    numbers.begin(2000)
    assert send(numbers, 2000) == [102]


def test_what_is_older_than_the_beginning_is_not_placed():
    numbers = numbering()
    send(numbers, 1000, 1001)
    numbers.begin(2000)
    assert numbers.place(1999) is None
    assert numbers.place(1001) is None


def test_what_was_sent_before_the_beginning_cannot_be_asked_for():
    numbers = numbering()
    send(numbers, 1000, 1001)
    numbers.begin(2000)
    send(numbers, 2000)
    assert numbers.find(101) is None
    found = numbers.find(102)
    assert found is not None
    assert found[0] == 2000


def test_skipped_packets_leave_no_hole():
    numbers = numbering()
    send(numbers, 1000)
    skip(numbers, 1001, 1002)
    assert send(numbers, 1003) == [101]
    assert numbers.place(1001) is None
    assert numbers.place(1002) is None


def test_each_skipped_picture_takes_one_picture_id():
    numbers = numbering()
    send(numbers, 1000)
    skip(numbers, 1001, 1002, picture_id=8)
    skip(numbers, 1003, picture_id=9)
    assert numbers.current.picture_offset == -2
    skip(numbers, 1004)
    assert numbers.current.picture_offset == -2


def test_the_picture_offset_survives_a_new_beginning():
    numbers = numbering()
    send(numbers, 1000)
    skip(numbers, 1001, picture_id=8)
    assert numbers.begin(2000).picture_offset == -1


def test_a_late_packet_of_an_earlier_stretch_has_its_own_number():
    numbers = numbering()
    send(numbers, 1000, 1002)
    skip(numbers, 1003)
    send(numbers, 1004)
    assert send(numbers, 1001) == [101]
    assert numbers.next_number == 104


def test_a_late_packet_that_is_left_out_moves_no_number_that_was_given():
    numbers = numbering()
    given_out = send(numbers, 1000, 1002)
    skip(numbers, 1001, picture_id=8)
    given_out += send(numbers, 1003, 1004)
    assert given_out == [100, 102, 103, 104]
    assert numbers.current.picture_offset == 0


def test_a_late_packet_at_the_start_of_a_stretch_moves_no_number_that_was_given():
    numbers = numbering()
    send(numbers, 1000)
    skip(numbers, 1001)
    given_out = send(numbers, 1003)
    skip(numbers, 1002)
    assert given_out + send(numbers, 1004) == [102, 103]


def test_a_late_packet_of_a_skipped_frame_whose_end_came_first_needs_no_skipping():
    numbers = numbering()
    send(numbers, 1000)
    skip(numbers, 1002, picture_id=8)
    skip(numbers, 1001, picture_id=8)
    assert send(numbers, 1003) == [102]
    assert numbers.current.picture_offset == -1


def test_requests_find_packets_across_stretches_and_the_wrap():
    numbers = numbering(65_534)
    sent = {}
    for sequence in range(1000, 1012):
        if sequence % 3 == 1:
            skip(numbers, sequence)
        else:
            (sent[sequence],) = send(numbers, sequence)
    assert sorted(sent.values()) == list(range(65_534, 65_542))
    for sequence, number in sent.items():
        found = numbers.find(number & 0xFFFF)
        assert found is not None
        assert found[0] == sequence
        assert found[0] + found[1].offset == number
    assert numbers.find(65_542 & 0xFFFF) is None
    assert numbers.find(65_533) is None


def test_old_stretches_are_forgotten():
    numbers = numbering()
    send(numbers, 1000)
    sequence = 1001
    for _ in range(STRETCHES_MAX):
        skip(numbers, sequence)
        send(numbers, sequence + 1)
        sequence += 2
    assert numbers.place(1000) is None
    assert numbers.find(100) is None
    found = numbers.find(101)
    assert found is not None
    assert found[0] == 1002


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=60),
    st.integers(0, (1 << 15) - 1),
    st.booleans(),
)
def test_no_number_is_given_twice_and_each_leads_back_to_its_packet(plan, first, ends_in_order):
    """Each packet is wanted or not, and delayed behind up to six others."""
    wanted = {2000 + i: is_wanted for i, (is_wanted, _) in enumerate(plan)}
    delays = {2000 + i: 0 if ends_in_order else delay for i, (_, delay) in enumerate(plan)}
    numbers = numbering(first, begins=2000)
    given_out = {}
    for sequence in sorted(wanted, key=lambda s: (s + delays[s], s)):
        if not wanted[sequence]:
            skip(numbers, sequence)
            continue
        stretch = numbers.place(sequence)
        if stretch is not None:
            numbers.sent(sequence, stretch)
            given_out[sequence] = sequence + stretch.offset
    assert len(set(given_out.values())) == len(given_out)
    assert sorted(given_out, key=given_out.__getitem__) == sorted(given_out)
    for sequence, number in given_out.items():
        found = numbers.find(number & 0xFFFF)
        assert found is not None
        assert found[0] == sequence
    if ends_in_order:
        assert sorted(given_out.values()) == list(range(first, first + sum(wanted.values())))
