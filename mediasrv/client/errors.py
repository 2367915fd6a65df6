"""Errors of the Python client, by who must act."""

from mediasrv.errors import MediaError


class ClientError(MediaError):
    """The client could not do what it was asked."""


class ServerUnreachable(ClientError):
    """Nobody answers at the address, or whoever does is no mediasrv."""


class LinkLost(ClientError):
    """The signalling connection ended; joining again may help."""


class SourceUnavailable(ClientError):
    """What should be published cannot be read; the text says what to do."""


class MediaNotConnected(ClientError):
    """Signalling worked, but no media path to the server came up in time."""
