import pytest
from starlette.datastructures import Headers

from mediasrv.http.origin import is_allowed_origin


def headers(host: str | None, *origins: str) -> Headers:
    raw = [] if host is None else [(b"host", host.encode())]
    return Headers(raw=raw + [(b"origin", origin.encode()) for origin in origins])


def test_what_is_not_a_browser_names_no_origin_and_may_connect():
    assert is_allowed_origin(headers("a.example"), ())


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("a.example", "https://a.example"),
        ("a.example", "http://a.example"),
        ("A.Example", "https://a.example"),
        ("a.example", "HTTPS://A.EXAMPLE"),
        ("a.example:443", "https://a.example"),
        ("a.example", "https://a.example:443"),
        ("a.example:80", "http://a.example"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_our_own_pages_may_connect(host, origin):
    assert is_allowed_origin(headers(host, origin), ())


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "a.example",
        "https://b.example",
        "https://a.example.evil.example",
        "https://evila.example",
        "https://evil.example/https://a.example",
        "https://a.example/",
        "https://a.example@evil.example",
        "https://evil.example@a.example",
        "https://a.example:8443",
        "http://a.example:443",
        "https://a.example:99999",
        "https://a.example:x",
        "https://[a.example",
        "https://",
        "file://a.example",
        "chrome-extension://a.example",
        "https://a.example https://a.example",
    ],
)
def test_other_pages_may_not(origin):
    assert not is_allowed_origin(headers("a.example", origin), ())


def test_a_request_with_two_origins_or_an_unclear_host_may_not():
    assert not is_allowed_origin(headers("a.example", *["https://a.example"] * 2), ())
    assert not is_allowed_origin(headers(None, "https://a.example"), ())
    two = Headers(
        raw=[(b"host", b"a.example"), (b"host", b"b.example"), (b"origin", b"https://a.example")]
    )
    assert not is_allowed_origin(two, ())
    assert not is_allowed_origin(headers("a.example/b", "https://a.example"), ())


def test_pages_on_the_list_may_connect_and_the_list_has_no_wildcards():
    allowed = ["https://App.example", "http://localhost:3000", "*", "null", ""]
    for origin in ("https://app.example", "https://app.example:443", "http://localhost:3000"):
        assert is_allowed_origin(headers("a.example", origin), allowed)
    for origin in ("http://app.example", "http://localhost", "null", "*", "", "https://x.example"):
        assert not is_allowed_origin(headers("a.example", origin), allowed)
