"""What can go wrong between the server and its beauty workers, by who must act."""

from mediasrv.errors import MediaError


class ProcessingError(MediaError):
    """The beauty path failed; the text is one line and holds nothing about a picture."""


class ChannelError(ProcessingError):
    """The other end broke the channel's schema; nothing it sends can be trusted any more."""


class WorkersExhausted(ProcessingError):
    """All workers that this node may run are taken; the host may retry later."""


class WorkerStartFailed(ProcessingError):
    """A worker process did not become ready; the operator must look at the log."""


class UndecodableFrame(ProcessingError):
    """An encoded frame gave no trustworthy image; decoding resumes at the next keyframe."""


class UnsupportedImage(UndecodableFrame):
    """The image is not 8-bit 4:2:0 or is too large; another stream from the host is needed."""
