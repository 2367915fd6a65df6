"""The beauty filter on the host's own machine: the server gets the filtered picture alone.

The same locked worker as in the server, between the host's source and the network. Nothing but what
the worker gives ever leaves: while there is none, nothing is sent.
"""

from collections.abc import Mapping
from dataclasses import replace

from filters.parameters import Parameters
from mediasrv.client.errors import SourceUnavailable
from mediasrv.client.filtered_track import FilteredTrack
from mediasrv.client.sources.choice import Encoding, Tracks
from mediasrv.client.tracks import VideoTrack
from mediasrv.processing import FilterState, ProcessingConfig, SpareWorkers

EDGE_TEXT = "Your face is processed only on your device; the server gets the filtered picture."
# What goes from the source to the worker stays on this machine: bits are free, blocks are not.
INPUT_BITRATE_FACTOR = 4


class EdgeFilter:
    """The filter of one host client; lives as long as that, across its publications."""

    def __init__(
        self, parameters: Mapping[str, int], config: ProcessingConfig | None = None
    ) -> None:
        """Prepare it; giving strengths is the host's consent.

        Raises:
            filters.errors.ParameterError: Unknown parameter or value.
        """
        self._parameters = Parameters.parse(parameters).as_dict()
        self._config = replace(config or ProcessingConfig(), max_workers=1)
        self._spares: SpareWorkers | None = None
        self._track: FilteredTrack | None = None

    @property
    def state(self) -> FilterState:
        """How the filter stands."""
        return FilterState.OFF if self._track is None else self._track.state

    def input_encoding(self, encoding: Encoding) -> Encoding:
        """How the source is to be encoded for the worker."""
        bitrate_bps = encoding.bitrate_bps * INPUT_BITRATE_FACTOR
        return replace(encoding, bitrate_bps=bitrate_bps, quick=True)

    async def put_before(self, tracks: Tracks, encoding: Encoding) -> Tracks:
        """Let the video go through a worker, which encodes it as ``encoding`` says.

        Raises:
            SourceUnavailable: The source has no pictures to filter.
        """
        await self.release()
        if not isinstance(tracks.video, VideoTrack):
            raise SourceUnavailable("only pictures can be filtered, not encoded frames")
        if self._spares is None:
            self._spares = SpareWorkers(self._config)
        self._track = FilteredTrack(tracks.video, encoding.codec)
        config = replace(self._config, target_bitrate_bps=encoding.bitrate_bps)
        await self._track.begin(config, self._spares, self._parameters)
        return Tracks(self._track, tracks.audio)

    async def release(self) -> None:
        """End the worker of the present publication."""
        track, self._track = self._track, None
        if track is not None:
            await track.end()

    async def close(self) -> None:
        """End all workers; doing it twice is fine."""
        await self.release()
        if self._spares is not None:
            await self._spares.close()
