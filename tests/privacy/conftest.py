"""What the tests of the proof get: how long to watch, and a place to note what was seen."""

import os

import pytest

from tests.privacy.report import SECONDS, SHORT_S


@pytest.fixture(scope="session")
def seconds() -> float:
    """For how long live things are watched."""
    return float(os.environ.get(SECONDS, SHORT_S))


@pytest.fixture
def finding(request: pytest.FixtureRequest):
    """Note for the report what was tried and what was seen."""

    def finding(check: str, tried: str, seen: str) -> None:
        request.node.user_properties.append(("proof", (check, tried, seen)))

    return finding
