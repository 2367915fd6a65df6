from hypothesis import given, settings
from hypothesis import strategies as st

from mediasrv.rooms.agenda import Agenda


def test_the_earliest_name_is_next():
    agenda = Agenda()
    assert agenda.next() is None
    agenda.set("late", 5.0)
    agenda.set("early", 2.0)
    assert agenda.next() == 2.0
    assert agenda.take_due(1.9) == []
    assert agenda.take_due(5.0) == ["early", "late"]
    assert agenda.next() is None


def test_a_name_can_be_moved_and_removed():
    agenda = Agenda()
    agenda.set("a", 2.0)
    agenda.set("a", 7.0)
    assert agenda.next() == 7.0
    agenda.set("a", 1.0)
    assert agenda.next() == 1.0
    agenda.set("a", None)
    agenda.set("never", None)
    assert agenda.next() is None
    assert agenda.take_due(100.0) == []


def test_saying_the_same_again_keeps_nothing():
    agenda = Agenda()
    for _ in range(1000):
        agenda.set("a", 2.0)
    assert len(agenda._heap) == 1


changes = st.tuples(
    st.sampled_from("abcde"), st.none() | st.integers(min_value=0, max_value=20).map(float)
)


@settings(deadline=None)
@given(st.lists(changes, max_size=60), st.integers(min_value=0, max_value=20))
def test_it_agrees_with_a_plain_dictionary(commands, now):
    agenda, plain = Agenda(), {}
    for name, when in commands:
        agenda.set(name, when)
        plain[name] = when
        assert agenda.next() == min((w for w in plain.values() if w is not None), default=None)
    due = agenda.take_due(now)
    assert sorted(due) == sorted(n for n, w in plain.items() if w is not None and w <= now)
    assert [plain[name] for name in due] == sorted(plain[name] for name in due)
