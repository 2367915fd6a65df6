"""The small JSON API: rooms for the lobby, the filters' schema, health."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from fastapi import APIRouter
from pydantic import BaseModel

from mediasrv.rooms import RoomListing


class RoomDirectory(Protocol):
    """What the lobby asks."""

    def listing(self) -> Sequence[RoomListing]:
        """List all rooms."""


class RoomView(BaseModel):
    """One room in the lobby.

    Attributes:
        since: Unix time in seconds at which the publication began; None while there is none.
    """

    room: str
    state: Literal["waiting", "live", "away"]
    viewers: int
    since: float | None


class RoomsView(BaseModel):
    """All rooms, oldest first."""

    rooms: list[RoomView]


def api_router(
    directory: Callable[[], RoomDirectory],
    filter_schema: dict[str, Any],
    *,
    clock: Callable[[], float],
) -> APIRouter:
    """Build ``/api/rooms``, ``/api/filters`` and ``/healthz``.

    Args:
        directory: Returns who knows the rooms, asked at every request.
        filter_schema: JSON Schema of the filter parameters.
        clock: Monotonic seconds, the clock of the listings.
    """
    router = APIRouter()

    @router.get("/api/rooms")
    async def rooms() -> RoomsView:
        """List the rooms of this server."""
        wall_offset = time.time() - clock()
        return RoomsView(
            rooms=[
                RoomView(
                    room=r.room,
                    state=r.state,
                    viewers=r.viewers,
                    since=None if r.since_s is None else round(r.since_s + wall_offset, 3),
                )
                for r in directory().listing()
            ]
        )

    @router.get("/api/filters")
    async def filters() -> dict[str, Any]:
        """Describe the filter parameters as a JSON Schema; sliders are built from it."""
        return filter_schema

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Answer while the process serves requests."""
        return {"status": "ok"}

    return router
