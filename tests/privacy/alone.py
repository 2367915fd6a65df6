"""A filtered stream where there is no network: ``unshare -n python -m tests.privacy.alone CLIP``.

In a network namespace of its own only the loopback device is there. Whoever wants to reach anybody
else is counted by the kernel (OutNoRoutes), and what goes over loopback is written down in full.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.privacy.live import hosting, running_server
from tests.privacy.scan import scan_bytes

_ETH_P_ALL = 3
MAX_BYTES = 200_000_000


def no_routes() -> int:
    """How often somebody here tried to send where no way leads (RFC 1213 ipOutNoRoutes)."""
    names, numbers = [
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if "Ip:" in line
    ][:2]
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(numbers[names.index("OutNoRoutes")]) + int(six["Ip6OutNoRoutes"])


async def record(capture: socket.socket, seconds: float) -> bytes:
    """Everything that passes the loopback device for some time."""
    loop = asyncio.get_running_loop()
    seen = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while len(seen) < MAX_BYTES:
                seen += await loop.sock_recv(capture, 65_536)
    except TimeoutError:
        pass
    return bytes(seen)


async def run(clip: str, seconds: float, settings: dict) -> dict:
    with tempfile.TemporaryDirectory() as name:
        async with running_server(Path(name), **settings) as server:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as capture:
                capture.bind(("lo", _ETH_P_ALL))
                capture.setblocking(False)
                recording = asyncio.create_task(record(capture, seconds + 5.0))
                async with hosting(server, Path(clip)):
                    seen = await recording
    return {
        "devices": sorted(name for _, name in socket.if_nameindex()),
        "no_routes": no_routes(),
        "bytes": len(seen),
        "canary": scan_bytes(seen),
        "plain": b'"filter"' in seen,  # the websocket is not encrypted here: it was really read
    }


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    clip, seconds, settings = sys.argv[1:]
    print(json.dumps(asyncio.run(run(clip, float(seconds), json.loads(settings)))))


if __name__ == "__main__":
    main()
