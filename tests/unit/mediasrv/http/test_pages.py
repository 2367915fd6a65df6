import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import httpx
import pytest
from fastapi import FastAPI, Response

from mediasrv.http.pages import DOCUMENTS, WEB_ROOT, SecurityHeaders, install_pages, load_assets

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = ["/", "/host/sunny-otter", "/watch/sunny-otter"]


def make_app(root: Path = WEB_ROOT) -> FastAPI:
    app = FastAPI()

    @app.get("/api/rooms")
    async def rooms() -> dict[str, list[str]]:
        return {"rooms": []}

    @app.get("/own")
    async def own() -> Response:
        return Response(headers={"Content-Security-Policy": "default-src 'none'"})

    install_pages(app, root)
    return app


class Client:
    """Asks an application with the very bytes of a path: no library tidies them on the way."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._ask("GET", path, headers or {}))

    def head(self, path: str) -> httpx.Response:
        return asyncio.run(self._ask("HEAD", path, {}))

    async def _ask(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        sent = []
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode(),
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "server": ("testserver", 80),
        }

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        await self._app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=body)


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(make_app())


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A web client of its own, with one sentence in each document."""
    for name in DOCUMENTS:
        (tmp_path / name).write_text(f"<p>{name}</p>")
    (tmp_path / "icons").mkdir()
    (tmp_path / "icons" / "favicon.svg").write_text("<svg/>")
    (tmp_path / "app.js").write_text("export {};")
    return tmp_path


class Reader(HTMLParser):
    """Collects what a policy without inline code forbids, and what a document refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.links: list[str] = []
        self.preloads: set[str] = set()
        self.scripts: set[str] = set()
        self.testids: set[str] = set()
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self._open = tag
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        self.links += [values[name] for name in ("href", "src") if name in values]
        if values.get("rel") == "modulepreload":
            self.preloads.add(values["href"])
        if tag == "script":
            self.scripts.add(values.get("src", ""))
        if "data-testid" in values:
            self.testids.add(values["data-testid"])

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)


def read(name: str) -> str:
    return (WEB_ROOT / name).read_text()


def imports_of(module: str) -> set[str]:
    """Addresses of all modules that one needs, however far down."""
    needed: set[str] = set()
    waiting = [module]
    while waiting:
        text = read(f"js/{waiting.pop()}")
        for name in re.findall(r'from "\./([\w-]+\.js)"', text):
            if f"/static/js/{name}" not in needed:
                needed.add(f"/static/js/{name}")
                waiting.append(name)
    return needed


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_served_behind_the_content_security_policy(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    assert policy["media-src"] == "'self' blob:"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"


def test_only_the_studio_may_ask_for_camera_and_microphone(client):
    assert "camera=(self), microphone=(self)" in client.get("/host/a").headers["permissions-policy"]
    for path in ("/", "/watch/a", "/api/rooms", "/nowhere"):
        assert "camera=(), microphone=()" in client.get(path).headers["permissions-policy"]


def test_the_headers_are_on_every_answer_and_leave_an_answers_own_policy_alone(client):
    assert client.get("/nowhere").headers["x-content-type-options"] == "nosniff"
    assert client.get("/api/rooms").headers["referrer-policy"] == "no-referrer"
    assert client.get("/own").headers.get_list("content-security-policy") == ["default-src 'none'"]


async def test_a_websocket_passes_through_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    async def receive():
        return {}

    async def send(message):
        pass

    scope = {"type": "websocket", "path": "/ws"}
    await SecurityHeaders(app)(scope, receive, send)
    assert seen == [(scope, receive, send)]


@pytest.mark.parametrize("path", [*PAGES, "/static/js/host.js", "/favicon.ico"])
def test_a_browser_asks_again_each_time_and_gets_nothing_twice(client, path):
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    again = client.get(path, headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    assert again.headers["content-security-policy"]


@pytest.mark.parametrize("known", ["W/{}", '"other", {}', "*"])
def test_the_entity_tag_is_compared_weakly_and_in_lists(client, known):
    etag = client.get("/").headers["etag"]
    headers = {"if-none-match": known.format(etag)}
    assert client.get("/", headers=headers).status_code == 304


@pytest.mark.parametrize("known", ['"other"', "", "other", '"'])
def test_another_entity_tag_gets_the_page(client, known):
    assert client.get("/", headers={"if-none-match": known}).status_code == 200


def test_a_new_version_of_a_file_has_a_new_entity_tag(web):
    before = Client(make_app(web)).get("/static/app.js").headers["etag"]
    (web / "app.js").write_text("export { };")
    server = Client(make_app(web))
    response = server.get("/static/app.js", headers={"if-none-match": before})
    assert (response.status_code, response.text) == (200, "export { };")


def test_what_is_served_is_what_was_there_at_the_start(web):
    server = Client(make_app(web))
    (web / "app.js").write_text("broken half-way through an upgr")
    assert server.get("/static/app.js").text == "export {};"


def test_head_tells_what_get_would_send(client):
    # The web server leaves the body out; length and tag have to be those of the page.
    told, sent = client.head("/watch/a"), client.get("/watch/a")
    assert told.status_code == 200
    assert int(told.headers["content-length"]) == len(sent.content)
    assert told.headers["etag"] == sent.headers["etag"]


@pytest.mark.parametrize("room", ["a", "0", "sunny-otter-42", "a" * 64, "a-", "a--b"])
def test_a_valid_room_name_has_its_pages(client, room):
    assert client.get(f"/host/{room}").status_code == 200
    assert client.get(f"/watch/{room}").status_code == 200


@pytest.mark.parametrize(
    "room",
    ["-a", "A", "a" * 65, "a_b", "a.b", "a%20b", "%C3%BC", "a%0A", "a%00", "..", "a/b", "<b>"],
)
@pytest.mark.parametrize("page", ["host", "watch"])
def test_an_impossible_room_name_shows_the_page_for_lost_people(client, page, room):
    response = client.get(f"/{page}/{room}", headers=HTML)
    assert response.status_code == 404
    assert "There is nothing at this address" in response.text
    assert response.headers["content-type"].startswith("text/html")


def test_a_lost_program_gets_json(client):
    assert client.get("/nowhere").json() == {"detail": "Not Found"}
    assert client.get("/api/nowhere", headers=HTML).headers["content-type"] == "application/json"
    assert client.get("/static/nowhere.js", headers=HTML).status_code == 404


def test_the_page_for_lost_people_is_never_a_304(client):
    headers = HTML | {"if-none-match": "*"}
    assert client.get("/nowhere", headers=headers).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/../http/pages.py",
        "/static/%2e%2e/http/pages.py",
        "/static/..%2fhttp%2fpages.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/js/../../media.py",
        "/static/js\\host.js",
        "/static/js/",
        "/static/",
        "/static/host.html",
        "/static/js/host.js%00",
        "/static/JS/HOST.JS",
    ],
)
def test_nothing_but_the_listed_files_is_served(client, path):
    assert client.get(path).status_code == 404


def test_hidden_and_foreign_files_stay_at_home(web):
    (web / ".env.js").write_text("secret")
    (web / ".git").mkdir()
    (web / ".git" / "config.js").write_text("secret")
    (web / "notes.txt").write_text("secret")
    (web / "app.js.swp").write_text("secret")
    names = set(load_assets(web))
    assert names == {*DOCUMENTS, "app.js", "icons/favicon.svg"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_incomplete_installation_says_what_is_missing(web, name):
    (web / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        load_assets(web)


def test_modules_and_styles_carry_the_types_that_browsers_insist_on(client):
    types = {
        "/static/js/host.js": "text/javascript; charset=utf-8",
        "/static/css/base.css": "text/css; charset=utf-8",
        "/static/icons/icons.svg": "image/svg+xml",
        "/favicon.ico": "image/svg+xml",
    }
    for path, expected in types.items():
        assert client.get(path).headers["content-type"] == expected


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_holds_inline_code_or_style(name):
    assert Reader(read(name)).inline == []


def test_no_file_names_a_third_party_address():
    for name, asset in load_assets().items():
        text = asset.body.decode()
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text))
        addresses -= {"http://www.w3.org/2000/svg"}  # a name space, fetched by nobody
        assert addresses == set(), name
        assert not re.search(r"@import|url\(|eval\(|innerHTML|outerHTML|document\.write\b", text), (
            name
        )


def test_nothing_is_stored_in_the_browser():
    for name, asset in load_assets().items():
        used = re.findall(rb"localStorage|sessionStorage|indexedDB|document\.cookie", asset.body)
        assert used == [], name


@pytest.mark.parametrize("name", DOCUMENTS)
def test_everything_a_document_refers_to_exists(client, name):
    for link in Reader(read(name)).links:
        if link.startswith("/"):
            assert client.get(link.split("#")[0]).status_code == 200, link
        if ".svg#" in link:
            assert f'id="{link.split("#")[1]}"' in read("icons/icons.svg"), link


@pytest.mark.parametrize("name", ["index.html", "host.html", "watch.html"])
def test_a_document_preloads_exactly_the_modules_that_its_script_needs(name):
    page = Reader(read(name))
    (script,) = page.scripts
    assert page.preloads == imports_of(script.rsplit("/", 1)[1])


def test_the_elements_that_tests_click_carry_their_names():
    studio = Reader(read("host.html")).testids
    assert studio >= {
        "go-live",
        "stop-live",
        "beauty-toggle",
        "local-video",
        "viewer-count",
        "live-state",
    }
    assert Reader(read("watch.html")).testids >= {"remote-video", "viewer-count", "live-state"}
    assert "room-list" in Reader(read("index.html")).testids
