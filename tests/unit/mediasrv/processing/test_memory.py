import os
import subprocess
import sys

import psutil
import pytest

from mediasrv.processing.memory import resident_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="the accounts are Linux's")
def test_it_is_what_others_measure():
    measured = psutil.Process().memory_info().rss
    assert resident_bytes(os.getpid()) == pytest.approx(measured, rel=0.05)


def test_a_process_that_is_gone_holds_nothing():
    process = subprocess.Popen(["true"])
    process.wait()
    assert resident_bytes(process.pid) == 0
