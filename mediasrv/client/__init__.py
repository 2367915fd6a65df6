"""A Python host and viewer on aiortc: for the command line, for tests and for benchmarks."""

from mediasrv.client.edge import EDGE_TEXT, EdgeFilter
from mediasrv.client.errors import (
    ClientError,
    LinkLost,
    MediaNotConnected,
    ServerUnreachable,
    SourceUnavailable,
)
from mediasrv.client.host import HostClient
from mediasrv.client.packets import KeptPacket, PacketLog
from mediasrv.client.sources.choice import (
    CameraSource,
    EncodedSource,
    Encoding,
    FileSource,
    PatternSource,
    Source,
    parse_source,
)
from mediasrv.client.statistics import FrameTimeline, StreamFigures, ViewerReport
from mediasrv.client.subscription import MediaSink
from mediasrv.client.viewer import ViewerClient

__all__ = [
    "EDGE_TEXT",
    "CameraSource",
    "ClientError",
    "EdgeFilter",
    "EncodedSource",
    "Encoding",
    "FileSource",
    "FrameTimeline",
    "HostClient",
    "KeptPacket",
    "LinkLost",
    "MediaNotConnected",
    "MediaSink",
    "PacketLog",
    "PatternSource",
    "ServerUnreachable",
    "Source",
    "SourceUnavailable",
    "StreamFigures",
    "ViewerClient",
    "ViewerReport",
    "parse_source",
]
