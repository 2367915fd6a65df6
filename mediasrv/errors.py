"""Errors of the running server, by who must act on them."""


class MediaError(Exception):
    """Something went wrong on the media side."""


class NegotiationError(MediaError):
    """The peer's session description cannot be honoured; the text says why, for the peer."""


class UnsupportedCodec(NegotiationError):
    """The peer and the room have no codec in common."""


class ConsentMissing(MediaError):
    """The filter would look at a host's picture and the host has not agreed to that."""


class TransportClosed(MediaError):
    """The transport is closed; the text is the reason."""
