"""Fences that an import graph cannot see: private names of aiortc and aioice."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SEAM = Path("mediasrv/transport/aiortc_seam.py")
FOREIGN = ("aiortc", "aioice", "pylibsrtp")
SOURCES = sorted(
    path.relative_to(REPOSITORY)
    for package in ("signaling", "filters", "mediasrv", "benchmarks")
    for path in (REPOSITORY / package).rglob("*.py")
)


def private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def trespasses(tree: ast.Module) -> Iterator[str]:
    """Private modules, names and attributes of foreign packages that a module reaches for.

    An attribute counts when it is private and not looked up on the class's own ``self`` or
    ``cls`` while the module imports a foreign package at all: what object it belongs to is
    unknown here, and another object's private attribute is out of bounds anyway.
    """
    imports_foreign = False
    own = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls")
    } | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FOREIGN:
            imports_foreign = True
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (f"import of {part}" for part in parts if private(part))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in FOREIGN:
                    imports_foreign = True
                    yield from (f"import of {p}" for p in alias.name.split(".") if private(p))
    if imports_foreign:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own:
                yield f"attribute {node.attr}, line {node.lineno}"


@pytest.mark.parametrize("path", [path for path in SOURCES if path != SEAM], ids=str)
def test_only_the_seam_touches_private_names_of_aiortc(path):
    assert list(trespasses(ast.parse((REPOSITORY / path).read_text()))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from aiortc.rtcdtlstransport import _secret",
        "from aiortc._internal import name",
        "import pylibsrtp._binding",
        "import aiortc\ndef steal(peer):\n    return peer._dtls",
    ],
)
def test_the_fence_notices_a_trespass(source):
    assert list(trespasses(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "from aiortc import RTCPeerConnection",
        "from aiortc import x\nclass A:\n    def f(self):\n        return self._mine",
        "def plain(other):\n    return other._thing",
    ],
)
def test_the_fence_lets_public_use_pass(source):
    assert list(trespasses(ast.parse(source))) == []
