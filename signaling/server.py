"""The server's end of one signalling connection, without the connection.

Feed it frames, send messages through it, and write what ``frames()`` returns. It never raises for
anything that a peer sends: what is wrong is answered, counted, and in the end closed.
"""

from typing import Protocol

from signaling.codec import encode, parse_object, request_id, validate
from signaling.errors import (
    ERROR_RULES,
    GOING_AWAY,
    NORMAL_CLOSURE,
    Close,
    ErrorCode,
    Overloaded,
    PeerProtocolError,
    Refused,
    SignalingError,
    error_of,
)
from signaling.limits import Limits
from signaling.messages import CLIENT_MESSAGES, ClientMessage, Error, Left, ServerMessage
from signaling.pacing import Strikes, TokenBucket
from signaling.states import CLIENT_MOVES, REFUSED, SERVER_MOVES, State, is_for_other_role, label


class Outbox(Protocol):
    """Where a server puts messages for one connected client; bounded, never blocks."""

    def send(self, message: ServerMessage) -> None:
        """Queue a message. An outbox that is full ends its own connection and nothing else."""


class ServerProtocol:
    """One client connection as the server sees it.

    After every call, write what ``frames()`` returns; when ``close`` is not None, close the
    socket with it after those frames. Call ``expire`` when ``deadline()`` has come.

    Args:
        now: Monotonic seconds at which the connection opened; the join timeout starts here.
        limits: What the connection may cost.
    """

    def __init__(self, now: float, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._state = State.NEW
        self._close: Close | None = None
        self._frames: list[str] = []
        self._errors: list[SignalingError] = []
        self._join_by = now + self._limits.join_timeout_s
        self._bucket = TokenBucket(self._limits.burst, self._limits.rate_hz, now)
        self._strikes = Strikes(self._limits.strikes, self._limits.strike_window_s)
        self._floods = Strikes(self._limits.floods, self._limits.strike_window_s)

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    @property
    def close(self) -> Close | None:
        """How the socket must be closed once the frames are written; None while it goes on."""
        return self._close

    def frames(self) -> list[str]:
        """Take the frames that must be written now, in order."""
        frames, self._frames = self._frames, []
        return frames

    def errors(self) -> list[SignalingError]:
        """Take the errors that were answered since the last call, for logs and counters."""
        errors, self._errors = self._errors, []
        return errors

    def receive(self, frame: str | bytes, now: float) -> ClientMessage | None:
        """Read one frame.

        Returns:
            The message, valid and in order, for the server to act on and to answer; None when
            there is nothing to do because an error was answered or the connection has ended.
        """
        if self._close is not None:
            return None
        reply_to = None
        try:
            fields = parse_object(frame, self._limits)
            reply_to = request_id(fields)
            self._pace(now)
            message = validate(fields, CLIENT_MESSAGES)
            self._advance(message)
        except SignalingError as error:
            self._answer(error, reply_to)
            self._punish(error, now)
            return None
        return message

    def send(self, message: ServerMessage) -> None:
        """Queue a message for the client. After the end of the connection it is dropped.

        Raises:
            RuntimeError: The message has no place in this state, which is the caller's mistake.
        """
        if self._close is not None:
            return
        self._move(label(message))
        self._frames.append(encode(message))
        if isinstance(message, Left):
            code = GOING_AWAY if message.reason == "shutdown" else NORMAL_CLOSURE
            self.end(Close(code, message.reason))

    def refuse(
        self,
        code: ErrorCode,
        message: str,
        reply_to: str | None = None,
        *,
        retry_after_s: float | None = None,
    ) -> None:
        """Answer the message that ``receive`` returned last with an error.

        Args:
            code: What is wrong; a code with a close code ends the connection.
            message: One sentence for a person.
            reply_to: The id of the refused message.
            retry_after_s: When a retry makes sense.
        """
        if self._close is not None:
            return
        if self._state is State.JOINING:
            self._move(REFUSED)
        self._answer(error_of(code, message, retry_after_s=retry_after_s), reply_to)

    def end(self, close: Close) -> None:
        """End the connection as told; frames queued before may still be written."""
        self._state = State.CLOSED
        self._close = self._close or close

    def deadline(self) -> float | None:
        """When ``expire`` wants to be called, in monotonic seconds; None when it does not."""
        return self._join_by if self._state is State.NEW else None

    def expire(self, now: float) -> None:
        """Close a connection that has not joined in time. Calling it early does nothing."""
        if self._state is State.NEW and now >= self._join_by:
            timeout_s = self._limits.join_timeout_s
            self._answer(
                error_of(ErrorCode.JOIN_TIMEOUT, f"join within {timeout_s:g} seconds"), None
            )

    def _pace(self, now: float) -> None:
        wait_s = self._bucket.take(now)
        if wait_s > 0:
            raise Overloaded(
                ErrorCode.RATE_LIMITED, "too many messages", retry_after_s=round(wait_s, 3)
            )

    def _advance(self, message: ClientMessage) -> None:
        following = CLIENT_MOVES[self._state].get(message.type)
        if following is not None:
            self._state = following
        elif is_for_other_role(self._state, message.type):
            raise Refused(ErrorCode.NOT_ALLOWED, f"a {self._state} cannot {message.type}")
        else:
            raise PeerProtocolError(ErrorCode.WRONG_ORDER, f"no {message.type} while {self._state}")

    def _move(self, move: str) -> None:
        following = SERVER_MOVES[self._state].get(move)
        if following is None:
            raise RuntimeError(f"cannot send {move} while {self._state}")
        self._state = following

    def _answer(self, error: SignalingError, reply_to: str | None) -> None:
        self._errors.append(error)
        self._frames.append(
            encode(
                Error(
                    code=error.code,
                    message=error.text,
                    reply_to=reply_to,
                    retry_after_s=error.retry_after_s,
                )
            )
        )
        close_code = ERROR_RULES[error.code].close_code
        if close_code is not None:
            self.end(Close(close_code, error.code))

    def _punish(self, error: SignalingError, now: float) -> None:
        if self._close is not None:
            return
        if error.code is ErrorCode.RATE_LIMITED:
            struck_out = self._floods.add(now)
        else:
            struck_out = isinstance(error, PeerProtocolError) and self._strikes.add(now)
        if struck_out:
            self._answer(error_of(ErrorCode.TOO_MANY_ERRORS, "too many errors in a row"), None)
