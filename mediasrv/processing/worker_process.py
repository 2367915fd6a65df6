"""The server's side of one worker process: its socket, its complaints, its end."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable

from mediasrv.processing.channel import TO_SERVER, MessageReader, pack
from mediasrv.processing.config import ProcessingConfig
from mediasrv.processing.confinement import UNCONFINED, Confinement
from mediasrv.processing.errors import ChannelError, WorkerStartFailed
from mediasrv.processing.launch import launch
from mediasrv.processing.messages import (
    PARAMETERS_CHECKSUM,
    PROTOCOL_VERSION,
    Configure,
    Hello,
    InputFrame,
    Message,
    Ready,
    Stop,
)
from mediasrv.processing.outbox import Outbox
from mediasrv.processing.stderr_log import StderrLog
from mediasrv.processing.supervision import WorkerLoss

logger = logging.getLogger(__name__)

READ_BYTES = 256 * 1024
# A killed process is gone within milliseconds; a kernel that needs longer is in trouble.
REAP_TIMEOUT_S = 5.0


class WorkerProcess:
    """One worker, from its start to its reaping; lives on the running event loop.

    Nothing here blocks. The worker is lost when its socket ends, when it breaks the schema, or
    when somebody calls :meth:`lose`; it is killed at that very moment, so nothing comes out of
    it afterwards. Whoever holds one must call :meth:`close`.
    """

    def __init__(self, config: ProcessingConfig) -> None:
        """Start the process.

        Raises:
            WorkerStartFailed: The system gave us no process.
        """
        self._began_s = time.monotonic()
        try:
            self._process, self._channel = launch(config)
        except OSError as exc:
            raise WorkerStartFailed(f"no process for a worker: {exc.strerror}") from exc
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(config.outbox_bytes, config.outbox_frames)
        self._reader = MessageReader(TO_SERVER)
        self._on_message: Callable[[Message], None] | None = None
        self._greeted = False
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._is_writing = False
        self.loss: WorkerLoss | None = None
        self.confinement = UNCONFINED
        self.on_lost: Callable[[], None] | None = None
        self._complaints = StderrLog(self._process)
        self._loop.add_reader(self._channel.fileno(), self._read)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def outbox(self) -> Outbox:
        """What waits to be sent; call :meth:`pump` after adding to it."""
        return self._outbox

    async def wait_ready(self) -> None:
        """Wait until everything is loaded in the worker.

        Raises:
            WorkerStartFailed: It ended or took too long; it is lost then.
        """
        try:
            async with asyncio.timeout(self._config.start_timeout_s):
                await self._ready.wait()
        except TimeoutError:
            self.lose(WorkerLoss.START_FAILED)
        if self.loss is not None:
            raise WorkerStartFailed(f"a worker did not become ready: {self.loss}")

    async def wait_lost(self) -> WorkerLoss:
        """Wait for the worker's end and say why it came."""
        await self._lost.wait()
        return self.loss or WorkerLoss.CRASHED

    def attach(self, configure: Configure, on_message: Callable[[Message], None]) -> None:
        """Give a ready worker its stream; messages go to ``on_message`` from now on."""
        self._on_message = on_message
        self._outbox.configure(configure)
        self.pump()

    def detach(self) -> None:
        """Stop handing out messages; what still comes is ignored."""
        self._on_message = lambda _: None

    def send_frame(self, frame: InputFrame) -> bool:
        """Offer one frame to the outbox and send what the socket takes now."""
        taken = self._outbox.offer(frame)
        if taken:
            self.pump()
        return taken

    def pump(self) -> None:
        """Send as much as the socket takes; the rest follows by itself."""
        while self.loss is None and (waiting := self._outbox.next_bytes()):
            try:
                sent_bytes = self._channel.send(waiting)
            except BlockingIOError:
                self._write_later(True)
                return
            except OSError:
                self.lose(WorkerLoss.CRASHED)
                return
            self._outbox.mark_sent(sent_bytes)
        self._write_later(False)

    def lose(self, loss: WorkerLoss) -> None:
        """Kill the worker now; the first reason stays."""
        if self.loss is not None:
            return
        self._write_later(False)
        self.loss = loss
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        if self._process.returncode is None:
            self._process.kill()
        self._ready.set()
        self._lost.set()
        if self.on_lost is not None:
            self.on_lost()

    async def close(self) -> None:
        """End the process: ask it, then kill it; returns when it is reaped.

        Takes at most about a second.
        """
        self.detach()
        if self.loss is None and self._ready.is_set():
            self._write_later(False)
            with contextlib.suppress(OSError):
                if not self._outbox.is_mid_message:
                    self._channel.send(pack(Stop()))
                self._channel.shutdown(socket.SHUT_WR)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.close_timeout_s):
                    await self._lost.wait()
        self.lose(WorkerLoss.CRASHED)
        await self._reap()
        self._complaints.close()

    async def _reap(self) -> None:
        pause_s = 0.001
        give_up_s = time.monotonic() + REAP_TIMEOUT_S
        while self._process.poll() is None:
            if time.monotonic() > give_up_s:
                logger.error("worker %d does not die", self.pid)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.02)
        if self._process.returncode == -signal.SIGSYS:
            logger.error("worker %d was killed for a system call that no worker makes", self.pid)

    def _write_later(self, wanted: bool) -> None:
        if wanted and not self._is_writing:
            self._loop.add_writer(self._channel.fileno(), self.pump)
        elif self._is_writing and not wanted:
            self._loop.remove_writer(self._channel.fileno())
        self._is_writing = wanted

    def _read(self) -> None:
        try:
            chunk = self._channel.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.lose(WorkerLoss.CRASHED if self._ready.is_set() else WorkerLoss.START_FAILED)
            return
        self._reader.feed(chunk)
        try:
            while self.loss is None and (message := self._reader.next_message()) is not None:
                self._dispatch(message)
        except ChannelError as exc:
            logger.warning("worker %d broke the protocol: %s", self.pid, exc)
            self.lose(WorkerLoss.BROKE_PROTOCOL)

    def _take_confinement(self, confinement: Confinement) -> None:
        """Let the worker start, unless it is less locked in than the operator demands."""
        self.confinement = confinement
        if not confinement.fulfils(self._config.sandbox):
            logger.error(
                "no filtering: a worker must be locked in and is not (%s). See mediasrv doctor; "
                "serve with --sandbox best-effort to filter all the same",
                confinement,
            )
            self.lose(WorkerLoss.START_FAILED)
            return
        took_ms = (time.monotonic() - self._began_s) * 1000
        logger.debug("worker %d ready after %.0f ms, %s", self.pid, took_ms, confinement)
        self._ready.set()

    def _dispatch(self, message: Message) -> None:
        match message:
            case Hello() if not self._greeted:
                if message != Hello(PROTOCOL_VERSION, PARAMETERS_CHECKSUM):
                    raise ChannelError("the worker runs another version")
                self._greeted = True
            case Ready(confinement) if self._greeted and not self._ready.is_set():
                self._take_confinement(confinement)
            case Hello() | Ready():
                raise ChannelError("a greeting out of order")
            case _ if self._on_message is None:
                raise ChannelError("a message before there was a stream")
            case _:
                self._on_message(message)
