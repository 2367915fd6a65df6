"""Fixtures for tests of the Python client."""

import pytest

from tests.unit.mediasrv.client.fake_server import fake_server


@pytest.fixture
async def server():
    """A running fake server."""
    async with fake_server() as running:
        yield running
