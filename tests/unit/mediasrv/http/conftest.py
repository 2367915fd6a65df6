import logging

import pytest

from tests.unit.mediasrv.http.websocket_server import websocket_server


@pytest.fixture
async def server(caplog):
    caplog.set_level(logging.DEBUG, logger="mediasrv")
    async with websocket_server() as opened:
        yield opened
