"""The client's end of one signalling connection, without the connection.

The same tables as the server's end: a client built on this cannot send out of order, and notices
a server that does.
"""

from dataclasses import dataclass

from signaling.codec import encode, parse_object, validate
from signaling.errors import ErrorCode, PeerProtocolError, Refused, SignalingError, error_of
from signaling.limits import Limits
from signaling.messages import SERVER_MESSAGES, ClientMessage, Error, Reply, ServerMessage
from signaling.states import CLIENT_MOVES, REFUSED, REPLIES, SERVER_MOVES, State, label


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's answer to one request."""

    request: ClientMessage
    message: ServerMessage

    def result(self) -> ServerMessage:
        """Return the reply.

        Raises:
            SignalingError: The server answered with an error; the class says who must act.
        """
        if isinstance(self.message, Error):
            raise error_from(self.message)
        return self.message


def error_from(message: Error) -> SignalingError:
    """Turn an ``error`` message into the exception of its code.

    A code of a newer server, unknown here, becomes ``internal`` with the code in its text.
    """
    try:
        code = ErrorCode(message.code)
    except ValueError:
        return Refused(
            ErrorCode.INTERNAL,
            f"{message.code}: {message.message}",
            retry_after_s=message.retry_after_s,
        )
    return error_of(code, message.message, retry_after_s=message.retry_after_s)


class ClientProtocol:
    """One connection as the client sees it.

    After ``send``, write what ``frames()`` returns. Give every frame from the server to
    ``receive``. ``state`` is closed once the server has said ``left``.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._state = State.NEW
        self._frames: list[str] = []
        self._requests = 0
        self._pending: dict[str, ClientMessage] = {}

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    @property
    def pending(self) -> tuple[str, ...]:
        """The ids of requests that have no answer yet, oldest first."""
        return tuple(self._pending)

    def frames(self) -> list[str]:
        """Take the frames that must be written now, in order."""
        frames, self._frames = self._frames, []
        return frames

    def send(self, message: ClientMessage) -> str:
        """Queue a request.

        Args:
            message: The request; its own id is replaced.

        Returns:
            The id it was given, which ``Answer.request.id`` will repeat.

        Raises:
            RuntimeError: Out of order, or too many requests without an answer.
            ValueError: Larger than a message may be.
        """
        following = CLIENT_MOVES[self._state].get(message.type)
        if following is None:
            raise RuntimeError(f"cannot send {message.type} while {self._state}")
        if len(self._pending) >= self._limits.pending:
            raise RuntimeError(f"{len(self._pending)} requests have no answer yet")
        request = message.model_copy(update={"id": str(self._requests + 1)})
        frame = encode(request)
        if len(frame.encode()) > self._limits.message_bytes:
            raise ValueError(f"a message has at most {self._limits.message_bytes} bytes")
        self._requests += 1
        self._state = following
        self._pending[str(self._requests)] = request
        self._frames.append(frame)
        return str(self._requests)

    def receive(self, frame: str | bytes) -> Answer | ServerMessage | None:
        """Read one frame.

        Returns:
            An ``Answer`` when it answers a request, else the message itself (an event, or an
            ``error`` that answers nothing); None for a type that a newer server may have added,
            and for anything after the end.

        Raises:
            PeerProtocolError: The server broke the protocol; close the connection.
        """
        if self._state is State.CLOSED:
            return None
        try:
            message = validate(parse_object(frame, self._limits), SERVER_MESSAGES)
        except PeerProtocolError as error:
            if error.code is ErrorCode.UNKNOWN_TYPE:
                return None
            raise
        request = self._paired(message)
        self._advance(message, request)
        return message if request is None else Answer(request, message)

    def _paired(self, message: ServerMessage) -> ClientMessage | None:
        if not isinstance(message, Reply) or message.reply_to is None:
            return None
        request = self._pending.get(message.reply_to)
        if request is None:
            raise PeerProtocolError(ErrorCode.BAD_MESSAGE, "an answer to no request")
        if not isinstance(message, Error) and message.type != REPLIES[request.type]:
            raise PeerProtocolError(
                ErrorCode.BAD_MESSAGE, f"{message.type} does not answer {request.type}"
            )
        del self._pending[message.reply_to]
        return request

    def _advance(self, message: ServerMessage, request: ClientMessage | None) -> None:
        is_refusal = isinstance(message, Error) and request is not None and request.type == "join"
        move = REFUSED if is_refusal else label(message)
        following = SERVER_MOVES[self._state].get(move)
        if following is None:
            raise PeerProtocolError(ErrorCode.WRONG_ORDER, f"no {move} while {self._state}")
        self._state = following
