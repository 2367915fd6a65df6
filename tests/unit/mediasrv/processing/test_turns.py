import platform
import sys
import threading

import pytest

from mediasrv.processing import turns
from mediasrv.processing.turns import ask_for_long_turns


def on_its_own_thread(call):
    """What is asked for holds for a thread, and the test's is not to have it."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(call()))
    thread.start()
    thread.join()
    return outcome[0]


@pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
def test_linux_takes_the_wish():
    assert on_its_own_thread(ask_for_long_turns)


def test_elsewhere_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "mips")
    assert not ask_for_long_turns()
    monkeypatch.undo()
    monkeypatch.setattr(turns.sys, "platform", "darwin")
    assert not ask_for_long_turns()
