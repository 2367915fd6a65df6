"""Offers as clients write them, without their addresses; the fixtures' lines end in LF only."""

from pathlib import Path

DIRECTORY = Path(__file__).parent / "fixtures" / "sdp"
NAMES = tuple(sorted(path.stem for path in DIRECTORY.glob("*.sdp")))
HOSTS = tuple(name for name in NAMES if "host" in name)
VIEWERS = tuple(name for name in NAMES if "viewer" in name)


def offer_text(name: str) -> str:
    """Return an offer with the line ends that it had on the wire."""
    return "\r\n".join((DIRECTORY / f"{name}.sdp").read_text("utf-8").splitlines()) + "\r\n"


def offer_texts(names: tuple[str, ...] = NAMES) -> list[str]:
    """Return several offers, in the order of their names."""
    return [offer_text(name) for name in names]
