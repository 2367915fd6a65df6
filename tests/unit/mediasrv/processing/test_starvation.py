import os
import subprocess
import sys

from mediasrv.processing.starvation import starved_for_s


def test_two_busy_processes_on_one_processor_wait_for_each_other():
    one = {min(os.sched_getaffinity(0))}
    burn = "import time\nend = time.monotonic() + 0.6\nwhile time.monotonic() < end: pass"
    pair = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(2)]
    for process in pair:
        os.sched_setaffinity(process.pid, one)
    waited_s = 0.0
    while all(process.poll() is None for process in pair):
        waited_s = max([waited_s, *(starved_for_s(process.pid) for process in pair)])
    for process in pair:
        process.wait()
    assert waited_s > 0.1


def test_a_process_that_is_gone_was_not_starved():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert starved_for_s(process.pid) == 0.0
