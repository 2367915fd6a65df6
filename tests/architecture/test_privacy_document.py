"""PRIVACY.md's data map and the code say the same: what is kept is named, what is named exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediasrv.client import EDGE_TEXT
from mediasrv.filter_switch import LINGER_S
from mediasrv.processing import ProcessingConfig
from mediasrv.processing.confinement import GUARDS, SandboxLevel
from mediasrv.relay.history import BYTES_MAX, PacketHistory
from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.track import AUDIO_HISTORY_S, VIDEO_HISTORY_S
from mediasrv.rooms import RoomLimits

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TEXT = (REPOSITORY / "PRIVACY.md").read_text("utf-8")
MAP = TEXT.partition("## What the server keeps")[2].partition("\n## ")[0]
# Where a person's things can be: every field of every class is in the table.
BY_FIELD = ("rooms", "node.py", "room_media.py", "statistics.py", "filter_switch.py")
# Where media, times and counters are: every class is named.
BY_CLASS = ("relay", "transport", "processing", "http", "filter_bitrate.py")
# What may be read from a message and is not kept: listed by what they are, not one by one.
PASSING = {
    "Delivery",
    "HostGone",
    "RoomClosed",
    "Outcome",
    "Admission",
    "RoomListing",
    "RoomLimits",
    "RoomCounters",
}


def modules(places: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        path = REPOSITORY / "mediasrv" / place
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def declared(kind: ast.ClassDef) -> set[str]:
    return {
        node.target.id
        for node in kind.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def assigned(kind: ast.ClassDef) -> set[str]:
    """Attributes that methods set on their own object."""
    return {
        node.attr
        for node in ast.walk(kind)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def classes(places: tuple[str, ...]) -> Iterator[ast.ClassDef]:
    for path in modules(places):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                yield node


def table() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", MAP, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows}


def stateful() -> dict[str, set[str]]:
    found = {kind.name: declared(kind) | assigned(kind) for kind in classes(BY_FIELD)}
    return {name: fields for name, fields in found.items() if fields and name not in PASSING}


def test_every_field_about_people_is_in_the_table_and_nothing_else():
    assert table() == stateful()


def test_a_field_more_or_a_field_less_would_be_noticed():
    source = "class Host:\n    face: str\n    def f(self):\n        self._box = self.other.box = 1"
    (kind,) = ast.parse(source).body
    assert isinstance(kind, ast.ClassDef)
    assert declared(kind) | assigned(kind) == {"face", "_box"}


@pytest.mark.parametrize("place", BY_CLASS)
def test_every_class_that_changes_while_the_server_runs_is_named(place):
    named = set(re.findall(r"`(\w+)`", MAP))
    changing = {kind.name for kind in classes((place,)) if assigned(kind)}
    holders = {name for name in changing if not name.endswith(("Error", "Refused"))}
    small = {
        kind.name
        for kind in classes((place,))
        if kind.decorator_list or not assigned(kind)  # messages, values and counters
    }
    assert holders - small - named == set()


def test_no_class_is_named_that_is_not_there():
    exists = {kind.name for kind in classes((*BY_FIELD, *BY_CLASS))}
    named = {name for name in re.findall(r"`(_?[A-Z]\w+)`", MAP) if name != "DEBUG"}
    assert named <= exists


def test_figures_are_those_of_the_code():
    assert f"last {VIDEO_HISTORY_S} s of video and {AUDIO_HISTORY_S} s of sound" in TEXT
    assert f"at most {BYTES_MAX / 1e6} MB each" in TEXT
    assert f"up to {LINGER_S:.0f} seconds" in TEXT
    assert f"or {RoomLimits().grace_s:.0f} s after" in TEXT
    assert f"at most {ProcessingConfig().outbox_bytes // 2**20} MiB" in TEXT


def test_every_guard_and_level_is_explained():
    guards = re.findall(r"^\| `(\w+)` \| [^|]* \|$", TEXT.partition("## What the")[0], re.MULTILINE)
    assert guards == list(GUARDS)
    assert all(f"- `{level}`" in TEXT for level in SandboxLevel)


def test_only_the_edge_promises_what_the_server_could_not():
    sources = [
        path
        for folder in ("mediasrv", "signaling", "docs")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in {".py", ".md", ".html", ".js"}
    ]
    promising = [
        str(path.relative_to(REPOSITORY))
        for path in (*sources, REPOSITORY / "README.md")
        if re.search(r"only on your (own )?(device|machine)", path.read_text(), re.IGNORECASE)
    ]
    assert promising == ["mediasrv/client/edge.py"]
    assert "only on your device" in EDGE_TEXT


def test_the_relay_keeps_no_packet_beyond_the_second_that_is_promised():
    history = PacketHistory(VIDEO_HISTORY_S)
    times = [number / 100 for number in range(1000)]
    for number, now in enumerate(times):
        history.add(TrackPacket(number, number, True, "vp8", b"x" * 1000), now)
    oldest = min(n for n in range(len(times)) if history.get(n) is not None)
    assert times[-1] - times[oldest] <= VIDEO_HISTORY_S
    assert history.payload_bytes <= BYTES_MAX


def test_both_modes_have_their_text():
    plain = TEXT.replace("**", "").replace("\n", " ")
    assert "in memory, while you are live, never written, never shared" in plain
    assert "your face is processed only on your device" in plain
