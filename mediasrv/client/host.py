"""A host in Python: publishes a source into a room and steers the beauty filter."""

import asyncio
from collections.abc import Mapping
from time import monotonic

from mediasrv.client.edge import EdgeFilter
from mediasrv.client.errors import LinkLost, SourceUnavailable
from mediasrv.client.link import Link
from mediasrv.client.packets import PacketLog
from mediasrv.client.path import MediaPath, negotiated_codecs
from mediasrv.client.room_client import RoomClient
from mediasrv.client.sources.choice import Encoding, Source, Tracks
from mediasrv.transport.aiortc_seam import on_keyframe_request, tap_sent
from signaling.messages import (
    FilterChanged,
    FilterView,
    HostMedia,
    Joined,
    Publish,
    Published,
    ServerMessage,
    SetFilter,
)


class Publication:
    """One negotiated publication: its tracks, its path, and what was sent on it.

    Attributes:
        tracks: What is sent.
        path: Where it is sent.
        sent: Every RTP packet that was sent; holds them when ``keep_packets``.
    """

    def __init__(self, tracks: Tracks, path: MediaPath, *, keep_packets: bool) -> None:
        self.tracks = tracks
        self.path = path
        self.sent = PacketLog(keep=keep_packets)

    @property
    def failure(self) -> Exception | None:
        """What ended the source, or None while it runs."""
        audio = self.tracks.audio
        return self.tracks.video.failure or (audio.failure if audio is not None else None)

    async def close(self) -> None:
        """Stop sending and release the source."""
        self.tracks.stop()
        await self.path.close()


class HostClient(RoomClient):
    """The host of a room. ``open()`` returns once media flows to the server.

    Attributes:
        media_state: What the server says of the host's media: connected, lost or nothing yet.
        publication: The present publication, or None.
        publications: How often media was negotiated; 1 when nothing broke.
    """

    role = "host"

    def __init__(
        self,
        url: str,
        room: str,
        source: Source,
        *,
        encoding: Encoding | None = None,
        parameters: Mapping[str, int] | None = None,
        edge: EdgeFilter | None = None,
        name: str | None = None,
        keep_packets: bool = False,
    ) -> None:
        """Prepare a host; nothing happens before ``open()``.

        Args:
            url: The server's address.
            room: The room to host.
            source: What to publish; opened anew for every publication.
            encoding: Codec and bitrate of the video.
            parameters: Filter strengths; given, the filter is switched on before anything is
                published, so no frame without it is ever sent to viewers. Giving them is the
                host's consent: the server looks for a face in its picture, in memory, while it is
                live; nothing is written and nothing shared.
            edge: Filters on this machine; the server is then told nothing of a filter.
            name: Shown to others.
            keep_packets: Keep what was sent, for tests that compare.
        """
        super().__init__(url, room, name=name)
        self.media_state: str | None = None
        self.publication: Publication | None = None
        self.publications = 0
        self._source = source
        self._encoding = encoding or Encoding()
        self._parameters = parameters
        self._edge = edge
        self._keep_packets = keep_packets

    async def open(self) -> None:
        """Join the room and publish.

        Raises:
            ServerUnreachable: Nobody answers at the address.
            SignalingError: The server refused, for instance because the room has a host.
            SourceUnavailable: The source cannot be read.
            MediaNotConnected: No media path came up.
        """
        await super().open()
        await self.until(self._is_connected)

    async def close(self) -> None:
        """Leave the room and release everything; doing it twice is fine."""
        await super().close()
        if self._edge is not None:
            await self._edge.close()

    async def set_filter(
        self,
        *,
        enabled: bool | None = None,
        parameters: Mapping[str, int] | None = None,
        consent: bool | None = None,
    ) -> FilterView:
        """Change the beauty filter; what is not named stays as it is.

        Args:
            enabled: Switch it on or off.
            parameters: Strengths by name.
            consent: True once the person in the picture has agreed to it; False takes that back,
                and the filter ends within a second.

        Raises:
            SignalingError: Unknown parameter, value out of range, no consent, or no filter on this
                server.
            LinkLost: The signalling connection is down.
        """
        if self._link is None:
            raise LinkLost("the signalling connection is down")
        return await self._send_filter(self._link, enabled, parameters, consent)

    @property
    def sent(self) -> PacketLog:
        """What the present publication sent.

        Raises:
            LinkLost: There is no publication.
        """
        if self.publication is None:
            raise LinkLost("nothing is published")
        return self.publication.sent

    def _is_connected(self) -> bool:
        return self.publication is not None and self.publication.path.connected_s is not None

    async def _on_joined(self, link: Link, joined: Joined) -> None:
        if self.joins == 1 and self._parameters is not None:
            await self._send_filter(link, True, self._parameters, True)
        if not joined.publishing:
            await self._release()

    async def _send_filter(
        self,
        link: Link,
        enabled: bool | None,
        parameters: Mapping[str, int] | None,
        consent: bool | None,
    ) -> FilterView:
        params = None if parameters is None else dict(parameters)
        wish = SetFilter(enabled=enabled, params=params, consent=consent)
        changed = await link.request(wish, FilterChanged)
        self.filter = changed.filter
        self._note_change()
        return changed.filter

    def _on_event(self, message: ServerMessage) -> None:
        if isinstance(message, HostMedia):
            self.media_state = message.state
        super()._on_event(message)

    async def _reconcile(self, link: Link) -> None:
        current = self.publication
        if current is not None and current.failure is not None:
            raise SourceUnavailable(str(current.failure)) from current.failure
        if current is not None and not current.path.lost:
            return
        await self._release()
        self.publication = await self._prepared()
        try:
            await self._publish(link, self.publication)
        except BaseException:
            # Half a publication would look like one that needs no attention.
            await self._release()
            raise

    async def _prepared(self) -> Publication:
        tracks = await self._opened()
        path = MediaPath(self.url, self._note_change)
        publication = Publication(tracks, path, keep_packets=self._keep_packets)
        tracks.video.on("ended", self._note_change)
        video = path.add_sending(tracks.video, self._encoding.codec)
        on_keyframe_request(video.sender, tracks.video.request_keyframe)
        if tracks.audio is not None:
            tracks.audio.on("ended", self._note_change)
            path.add_sending(tracks.audio)
        tap_sent(path.transport, lambda packet: publication.sent.add(packet, monotonic()))
        return publication

    async def _opened(self) -> Tracks:
        edge = self._edge
        if edge is None:
            return await asyncio.to_thread(self._source.open, self._encoding)
        encoding = edge.input_encoding(self._encoding)
        tracks = await asyncio.to_thread(self._source.open, encoding)
        try:
            return await edge.put_before(tracks, self._encoding)
        except BaseException:
            tracks.stop()
            raise

    async def _publish(self, link: Link, publication: Publication) -> None:
        async def exchange(offer: str) -> str:
            published = await link.request(Publish(sdp=offer), Published)
            publication.sent.negotiated(*negotiated_codecs(published.sdp))
            return published.sdp

        self.publications += 1
        await publication.path.negotiate(exchange)
        await publication.path.connect()

    async def _release(self) -> None:
        if self.publication is not None:
            await self.publication.close()
            self.publication = None
        if self._edge is not None:
            await self._edge.release()
