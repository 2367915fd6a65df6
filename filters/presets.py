"""Looks that somebody tuned: parameters by name. Restrained, all of them: rested, not plastic."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from filters.errors import ParameterError
from filters.parameters import Parameters

PRESETS: Final[Mapping[str, Parameters]] = MappingProxyType(
    {
        "none": Parameters(),
        "natural": Parameters(smooth=45, brighten=20),
        "fresh": Parameters(
            smooth=40, brighten=25, rosy=25, under_eye=35, eye_bright=30, clarity=15
        ),
        "soft": Parameters(
            smooth=65, blemish=40, brighten=25, tone=10, rosy=10, under_eye=40, smile_lines=30
        ),
        "studio": Parameters(
            smooth=50,
            blemish=45,
            brighten=20,
            under_eye=45,
            smile_lines=25,
            shine=50,
            clarity=25,
            eye_bright=25,
            teeth_white=30,
            sharpen=25,
        ),
        "glam": Parameters(
            smooth=65,
            blemish=50,
            brighten=30,
            rosy=15,
            under_eye=50,
            smile_lines=35,
            shine=25,
            clarity=30,
            eye_bright=45,
            teeth_white=45,
            sharpen=30,
            slim=7,
            eye_size=20,
            lipstick=40,
            lipstick_shade=30,
            blush=35,
            blush_shade=30,
            brow=25,
            eye_shadow=30,
            eye_shadow_shade=20,
        ),
    }
)


def schema_with_presets() -> dict[str, Any]:
    """:meth:`Parameters.json_schema`, with ``presets``: all parameters by preset's name."""
    presets = {name: parameters.as_dict() for name, parameters in PRESETS.items()}
    return {**Parameters.json_schema(), "presets": presets}


def preset(name: str) -> Parameters:
    """The parameters of a preset.

    Raises:
        ParameterError: There is no such preset.
    """
    found = PRESETS.get(name)
    if found is None:
        raise ParameterError(f"unknown preset {name!r:.40}; there are: {', '.join(PRESETS)}")
    return found
