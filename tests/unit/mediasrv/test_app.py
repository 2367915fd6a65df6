"""The one place that builds concrete classes: settings reach those whom they concern."""

import time

from mediasrv.app import run_node
from mediasrv.config import ServerConfig


async def test_what_the_outside_reaches_is_announced_instead_of_what_is_bound():
    config = ServerConfig(udp_port=0, public_ips=("198.51.100.7",), public_udp_port=40_000)
    async with run_node(config, time.monotonic) as node:
        (candidate,) = node._endpoint.candidates()
        assert (candidate.address, candidate.port) == ("198.51.100.7", 40_000)
        assert node.udp_port not in (0, 40_000)
