"""What the control plane does, as OpenTelemetry spans: joins, offers, filter switches.

Names of rooms and kinds of requests, how long they took and the stable code of what failed; no
description, no address, no name of a person, no secret. Off unless asked for; media never gets
here.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, Protocol

from mediasrv.errors import MediaError
from signaling.errors import Refused


class Spans(Protocol):
    """Takes note of requests."""

    def request(self, kind: str, room: str) -> AbstractContextManager[None]:
        """Span one request of a peer; an error that leaves it is its outcome."""


class NoSpans:
    """Takes no note."""

    def request(self, kind: str, room: str) -> AbstractContextManager[None]:
        """Do nothing."""
        del kind, room
        return nullcontext()


NO_SPANS: Final = NoSpans()


class SpansUnavailable(MediaError):
    """The package that exports spans is not installed."""


class OpenTelemetrySpans:
    """Exports spans through the OpenTelemetry SDK, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``, behind what is there.

        Raises:
            SpansUnavailable: ``pip install mediasrv[otel]`` is needed.
            OSError: The file cannot be written.
        """
        try:
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 (an optional package)
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
                BatchSpanProcessor,
                ConsoleSpanExporter,
            )
        except ImportError as exc:
            raise SpansUnavailable("spans need OpenTelemetry: pip install mediasrv[otel]") from exc
        self._file = path.open("a", encoding="utf-8")
        exporter = ConsoleSpanExporter(
            out=self._file, formatter=lambda span: span.to_json(indent=None) + "\n"
        )
        self._provider = TracerProvider(
            resource=Resource({"service.name": "mediasrv"}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("mediasrv")

    @contextmanager
    def request(self, kind: str, room: str) -> Iterator[None]:
        """Span one request of a peer."""
        attributes = {"mediasrv.room": room}
        # The text of an error may quote what the peer sent; its code says enough.
        with self._tracer.start_as_current_span(
            f"signaling {kind}",
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Refused as refused:
                span.set_attribute("mediasrv.refused", refused.code.value)
                raise

    def close(self) -> None:
        """Write what waits and close the file."""
        self._provider.shutdown()
        self._file.close()


@contextmanager
def open_spans(path: str | None) -> Iterator[Spans]:
    """Export to ``path`` for as long as the context is open; None takes no note."""
    if path is None:
        yield NoSpans()
        return
    spans = OpenTelemetrySpans(Path(path))
    try:
        yield spans
    finally:
        spans.close()
