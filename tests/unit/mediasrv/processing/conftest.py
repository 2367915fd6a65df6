"""Worker processes with a stand-in for the face pipeline: they start in a fraction of the time."""

from pathlib import Path

import pytest

from mediasrv.processing import ProcessingConfig

TESTS = str(Path(__file__).resolve().parents[3])


@pytest.fixture
def config():
    return ProcessingConfig(pipeline="stand_in_pipeline:open_stand_in", python_path=(TESTS,))
