import os
import subprocess
import sys

import pytest

from filters.native_log import CAPTURE_LIMIT_BYTES, without_known_chatter

CHATTER = (
    b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
    b"W0000 00:00:1 12 inference_feedback_manager.cc:114] Feedback manager requires a model\n"
)


def test_chatter_is_held_back_and_errors_pass(capfd):
    with without_known_chatter():
        os.write(2, CHATTER + b"E0000 something real broke\n" + CHATTER)
    assert capfd.readouterr().err == "E0000 something real broke\n"


def test_what_is_written_before_and_after_is_not_touched(capfd):
    os.write(2, b"before\n")
    with without_known_chatter():
        os.write(2, CHATTER)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_errors_pass_when_the_block_fails(capfd):
    def fail() -> None:
        with without_known_chatter():
            os.write(2, CHATTER + b"the reason\n")
            raise RuntimeError("graph")

    with pytest.raises(RuntimeError, match="graph"):
        fail()
    assert capfd.readouterr().err == "the reason\n"


def test_a_line_without_an_end_passes(capfd):
    with without_known_chatter():
        os.write(2, b"half a li")
    assert capfd.readouterr().err == "half a li"


def test_silence_stays_silence(capfd):
    with without_known_chatter():
        pass
    assert capfd.readouterr().err == ""


def test_a_flood_neither_blocks_nor_kills(capfd):
    with without_known_chatter():
        for _ in range(200):
            try:
                os.write(2, b"x" * 1023 + b"\n")
            except BlockingIOError:
                break
    assert 0 < len(capfd.readouterr().err) <= CAPTURE_LIMIT_BYTES


def test_no_descriptor_is_left_open():
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with without_known_chatter():
            os.write(2, CHATTER)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_it_works_without_a_standard_error():
    program = (
        "import os; os.close(2); from filters.native_log import without_known_chatter\n"
        "with without_known_chatter(): os.write(1, b'fine')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"fine"
