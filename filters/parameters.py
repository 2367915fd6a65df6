"""What a host can set: one strength per filter, and its description for people and browsers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from filters.errors import ParameterError

MINIMUM = 0
MAXIMUM = 100


def _strength(group: str, title: str, description: str) -> int:
    """Declare one slider from 0; off by default, so a new filter never changes a picture."""
    return _declared(group, title, description, MINIMUM)


def _two_way(group: str, title: str, description: str) -> int:
    """Declare one slider with 0 in its middle: both ways from off."""
    return _declared(group, title, description, -MAXIMUM)


def _shade(group: str, title: str, description: str, of: str) -> int:
    """Declare a choice that only says how another filter looks; it changes nothing by itself."""
    return _declared(group, title, description, MINIMUM, of=of)


def _declared(group: str, title: str, description: str, minimum: int, of: str | None = None) -> int:
    metadata = {"group": group, "title": title, "description": description}
    declared: int = field(default=0, metadata={**metadata, "minimum": minimum, "of": of})
    return declared


@dataclass(frozen=True, slots=True)
class Parameters:
    """Strength of every filter, whole numbers; 0 is off and leaves the picture as it is.

    Most go from 0 to 100; those that work both ways from -100 to 100. A field's name is its name
    on the wire; :attr:`filters.stages.Stage.parameters` says which stage it drives.

    Raises:
        ParameterError: A value is not a whole number in its range.
    """

    smooth: int = _strength(
        "skin", "Smooth skin", "Evens out skin; eyes, brows, lips and the fine grain stay."
    )
    blemish: int = _strength("skin", "Blemishes", "Takes back small dark and red spots.")
    brighten: int = _strength(
        "skin", "Brighten", "Lifts the light on the face, about equally on every skin tone."
    )
    tone: int = _two_way("skin", "Skin tone", "Left: tanned. Right: lighter.")
    rosy: int = _strength("skin", "Rosy", "Gives the skin a little more blood.")
    under_eye: int = _strength("skin", "Under the eyes", "Takes back circles under the eyes.")
    smile_lines: int = _strength("skin", "Smile lines", "Softens the folds beside the mouth.")
    shine: int = _strength("skin", "Shine", "Takes gloss from forehead, nose and cheeks.")
    clarity: int = _strength("skin", "Clarity", "Gives the face more depth.")
    eye_bright: int = _strength("features", "Bright eyes", "Clearer, brighter eyes.")
    teeth_white: int = _strength("features", "White teeth", "Takes yellow from the teeth.")
    sharpen: int = _strength("features", "Sharpen", "Crisper eyes, brows and lips.")
    slim: int = _strength("shape", "Slim", "Slimmer cheeks from ear to chin.")
    narrow: int = _strength("shape", "Narrow", "A narrower face.")
    v_shape: int = _strength("shape", "V shape", "A finer line from jaw to chin.")
    jaw: int = _strength("shape", "Jaw", "Softer corners of the jaw.")
    chin: int = _two_way("shape", "Chin", "Left: shorter. Right: longer chin.")
    cheekbones: int = _strength("shape", "Cheekbones", "Narrower cheekbones.")
    forehead: int = _two_way("shape", "Forehead", "Left: lower. Right: higher forehead.")
    eye_size: int = _strength("shape", "Eye size", "Larger eyes.")
    eye_distance: int = _two_way("shape", "Eye distance", "Left: closer. Right: wider apart.")
    nose_width: int = _strength("shape", "Nose width", "A narrower nose.")
    nose_length: int = _two_way("shape", "Nose length", "Left: shorter. Right: longer nose.")
    mouth_size: int = _two_way("shape", "Mouth size", "Left: smaller. Right: larger mouth.")
    smile: int = _two_way("shape", "Smile", "Corners of the mouth: left down, right up.")
    lipstick: int = _strength("makeup", "Lipstick", "Colour on the lips.")
    lipstick_shade: int = _shade(
        "makeup", "Shade of lipstick", "Coral, rose, red, berry, plum.", of="lipstick"
    )
    blush: int = _strength("makeup", "Blush", "Colour on the cheeks.")
    blush_shade: int = _shade("makeup", "Shade of blush", "Peach, pink, rose, wine.", of="blush")
    brow: int = _strength("makeup", "Brows", "Fuller brows.")
    brow_shade: int = _shade("makeup", "Shade of brows", "Taupe, brown, black.", of="brow")
    eye_shadow: int = _strength("makeup", "Eye shadow", "Colour on the lids.")
    eye_shadow_shade: int = _shade(
        "makeup",
        "Shade of eye shadow",
        "Sand, rosewood, brown, slate, plum, blue.",
        of="eye_shadow",
    )
    low_light: int = _strength("picture", "Low light", "Lifts a dark picture with a face in it.")
    look_amount: int = _strength("picture", "Look", "Colours the whole picture.")
    look: int = _shade(
        "picture",
        "Which look",
        "Warm, cool, film, vivid, pastel, teal, golden, mono.",
        of="look_amount",
    )
    background_blur: int = _strength(
        "background", "Blur", "Blurs what is behind people, with or without a face in sight."
    )
    background_replace: int = _strength(
        "background", "Replace", "Lays a colour over what is behind people."
    )
    background_shade: int = _shade(
        "background",
        "Colour",
        "Grey, white, beige, sage, blue, black.",
        of="background_replace",
    )

    def __post_init__(self) -> None:
        for name in NAMES:
            _check(name, getattr(self, name))

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Build parameters from a foreign mapping; what it leaves out is 0.

        Raises:
            ParameterError: ``values`` is no mapping, names an unknown filter, or a value is not
                a whole number in its range (true and false are not numbers here).
        """
        if not isinstance(values, Mapping):
            raise ParameterError(f"filter parameters are a mapping, not a {_kind(values)}")
        for name in values:
            if name not in MINIMA:
                raise ParameterError(f"unknown filter {_shown(name)}; there are: {_known()}")
        return cls(**{name: _check(name, value) for name, value in values.items()})

    def as_dict(self) -> dict[str, int]:
        """All parameters by name, as they go over the wire."""
        return {name: getattr(self, name) for name in NAMES}

    @property
    def are_all_off(self) -> bool:
        """Whether no filter has anything to do."""
        return not any(getattr(self, name) for name in NAMES if name not in SHADES)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema (2020-12) of the mapping that :meth:`parse` takes; a page's sliders.

        Every property carries title, description, minimum, maximum, default, and ``group``, the
        heading under which it belongs; a shade also ``of``, the name of what it colours.
        """
        properties = {declared.name: _property(declared.metadata) for declared in fields(cls)}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Beauty filter parameters",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
        }


NAMES: Final = tuple(declared.name for declared in fields(Parameters))
MINIMA: Final[Mapping[str, int]] = {
    declared.name: declared.metadata["minimum"] for declared in fields(Parameters)
}
# Parameters that change nothing by themselves, with the one that they go with.
SHADES: Final[Mapping[str, str]] = {
    declared.name: declared.metadata["of"]
    for declared in fields(Parameters)
    if declared.metadata["of"] is not None
}


def _property(metadata: Mapping[str, Any]) -> dict[str, Any]:
    property_ = {
        "type": "integer",
        "title": metadata["title"],
        "description": metadata["description"],
        "minimum": metadata["minimum"],
        "maximum": MAXIMUM,
        "default": 0,
        "group": metadata["group"],
    }
    return property_ if metadata["of"] is None else {**property_, "of": metadata["of"]}


def _check(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParameterError(f"{name} must be a whole number, not a {_kind(value)}")
    if not MINIMA[name] <= value <= MAXIMUM:
        shown = str(value) if abs(value) < 10**9 else "a huge number"
        raise ParameterError(f"{name} must be from {MINIMA[name]} to {MAXIMUM}, not {shown}")
    return value


def _known() -> str:
    return ", ".join(NAMES)


def _shown(name: object) -> str:
    return repr(name)[:40]


def _kind(value: object) -> str:
    return type(value).__name__
