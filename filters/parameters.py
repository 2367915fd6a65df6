"""What a host can set: one strength per filter, and its description for people and browsers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from filters.errors import ParameterError

MINIMUM = 0
MAXIMUM = 100


def _strength(title: str, description: str) -> int:
    """Declare one slider; off by default, so a new filter never changes anybody's picture."""
    metadata = {"title": title, "description": description}
    declared: int = field(default=MINIMUM, metadata=metadata)
    return declared


@dataclass(frozen=True, slots=True)
class Parameters:
    """Strength of every filter, whole numbers from 0 (off, the picture stays as it is) to 100.

    A field's name is its name on the wire, and the name of the stage that it drives.

    Raises:
        ParameterError: A value is not a whole number from 0 to 100.
    """

    smooth: int = _strength(
        "Smooth skin", "Evens out skin; eyes, brows, lips and the fine grain of the skin stay."
    )
    brighten: int = _strength(
        "Brighten", "Lifts the light on the face, about equally on every skin tone."
    )

    def __post_init__(self) -> None:
        for declared in fields(self):
            _check(declared.name, getattr(self, declared.name))

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Build parameters from a foreign mapping; what it leaves out is 0.

        Raises:
            ParameterError: ``values`` is no mapping, names an unknown filter, or a value is not
                a whole number from 0 to 100 (true and false are not numbers here).
        """
        if not isinstance(values, Mapping):
            raise ParameterError(f"filter parameters are a mapping, not a {_kind(values)}")
        known = [declared.name for declared in fields(cls)]
        for name in values:
            if name not in known:
                shown = repr(name)[:40]
                raise ParameterError(f"unknown filter {shown}; there are: {', '.join(known)}")
        return cls(**{name: _check(name, value) for name, value in values.items()})

    def as_dict(self) -> dict[str, int]:
        """All parameters by name, as they go over the wire."""
        return {declared.name: getattr(self, declared.name) for declared in fields(self)}

    @property
    def are_all_off(self) -> bool:
        """Whether no filter has anything to do."""
        return not any(self.as_dict().values())

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema (2020-12) of the mapping that :meth:`parse` takes; a page's sliders.

        Every property carries title, description, minimum, maximum, default.
        """
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Beauty filter parameters",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                declared.name: {
                    "type": "integer",
                    "title": declared.metadata["title"],
                    "description": declared.metadata["description"],
                    "minimum": MINIMUM,
                    "maximum": MAXIMUM,
                    "default": declared.default,
                }
                for declared in fields(cls)
            },
        }


def _check(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParameterError(f"{name} must be a whole number, not a {_kind(value)}")
    if not MINIMUM <= value <= MAXIMUM:
        shown = str(value) if abs(value) < 10**9 else "a huge number"
        raise ParameterError(f"{name} must be from {MINIMUM} to {MAXIMUM}, not {shown}")
    return value


def _kind(value: object) -> str:
    return type(value).__name__
