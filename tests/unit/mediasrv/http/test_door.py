import pytest

from mediasrv.app import create_app
from mediasrv.config import ServerConfig
from mediasrv.http.door import WebsocketDoor


async def nothing():
    raise AssertionError("nobody reads here")


async def discard(message):
    raise AssertionError(f"nobody writes here: {message}")


class House:
    """A door, and pages behind it."""

    def __init__(self):
        self.served, self.behind = [], []
        self.door = WebsocketDoor(self._pages, "/ws", self._serve)

    async def _serve(self, websocket):
        self.served.append(websocket.url.path)

    async def _pages(self, scope, receive, send):
        assert (receive, send) == (nothing, discard)
        self.behind.append((scope["type"], scope.get("path")))

    async def knock(self, kind, path):
        scope = {"type": kind, "path": path, "headers": [], "server": ("h", 80)}
        await self.door(scope, nothing, discard)


async def test_websockets_of_the_path_are_served_at_the_door():
    house = House()
    await house.knock("websocket", "/ws")
    assert (house.served, house.behind) == (["/ws"], [])


@pytest.mark.parametrize(
    ("kind", "path"), [("http", "/ws"), ("websocket", "/ws/"), ("websocket", "/"), ("http", "/")]
)
async def test_everything_else_goes_on_to_the_pages(kind, path):
    house = House()
    await house.knock(kind, path)
    assert (house.served, house.behind) == ([], [(kind, path)])


async def test_start_and_end_of_the_server_have_no_path_and_go_on():
    house = House()
    await house.door({"type": "lifespan"}, nothing, discard)
    assert house.behind == [("lifespan", None)]


def test_in_the_server_the_door_comes_before_every_other_layer():
    app = create_app(ServerConfig(port=0, udp_port=0))
    assert app.user_middleware[0].cls is WebsocketDoor
