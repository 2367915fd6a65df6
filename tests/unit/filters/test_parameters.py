import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.errors import FilterError, ParameterError
from filters.parameters import MINIMA, NAMES, SHADES, Parameters
from filters.presets import PRESETS, preset, schema_with_presets


def test_everything_is_off_unless_told():
    assert Parameters().are_all_off
    assert Parameters.parse({}) == Parameters()
    assert set(Parameters().as_dict().values()) == {0}


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 100)))
def test_what_is_parsed_comes_back(values):
    parsed = Parameters.parse(values)
    assert parsed.as_dict() == dict.fromkeys(NAMES, 0) | values
    assert Parameters.parse(parsed.as_dict()) == parsed
    assert parsed.are_all_off == (
        not any(value for name, value in values.items() if name not in SHADES)
    )


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"smoth": 1}, "unknown filter 'smoth'; there are: smooth, blemish, brighten"),
        ({"smooth": "5"}, "smooth must be a whole number, not a str"),
        ({"smooth": 5.0}, "smooth must be a whole number, not a float"),
        ({"smooth": float("nan")}, "not a float"),
        ({"smooth": True}, "smooth must be a whole number, not a bool"),
        ({"brighten": None}, "brighten must be a whole number, not a NoneType"),
        ({"smooth": -1}, "smooth must be from 0 to 100, not -1"),
        ({"smooth": 101}, "not 101"),
        ({"tone": -101}, "tone must be from -100 to 100, not -101"),
        ({"smooth": 10**400}, "not a huge number"),
        ({"smooth": [1]}, "not a list"),
        ({3: 1}, "unknown filter 3"),
        ({None: 1}, "unknown filter None"),
        ([("smooth", 1)], "a mapping, not a list"),
        ("smooth", "a mapping, not a str"),
        (None, "a mapping, not a NoneType"),
    ],
)
def test_a_wrong_parameter_is_named(values, complaint):
    with pytest.raises(ParameterError) as caught:
        Parameters.parse(values)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, FilterError)


@given(
    st.one_of(
        st.none(),
        st.text(),
        st.integers(),
        st.lists(st.integers()),
        st.dictionaries(
            st.one_of(st.text(), st.integers(), st.sampled_from(NAMES)),
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        ),
    )
)
def test_hostile_input_gives_parameters_or_our_error(values):
    complaint = ""
    try:
        parsed = Parameters.parse(values)
    except ParameterError as exc:
        complaint = str(exc)
    else:
        assert all(MINIMA[name] <= value <= 100 for name, value in parsed.as_dict().items())
    assert len(complaint) < 800


def test_the_constructor_checks_as_parsing_does():
    with pytest.raises(ParameterError):
        Parameters(smooth=101)
    with pytest.raises(ParameterError):
        Parameters(brighten=True)


def test_parameters_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Parameters().smooth = 3


def test_the_schema_is_enough_to_build_sliders():
    schema = Parameters.json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert tuple(schema["properties"]) == NAMES
    assert schema["additionalProperties"] is False
    for name, slider in schema["properties"].items():
        assert slider["type"] == "integer"
        assert (slider["maximum"], slider["default"]) == (100, 0)
        assert slider["minimum"] == MINIMA[name] in (0, -100)
        assert slider["group"]
        assert slider.get("of") == SHADES.get(name)
        assert slider["title"]
        assert slider["description"].endswith(".")
    descriptions = [slider["description"] for slider in schema["properties"].values()]
    assert len(set(descriptions)) == len(descriptions)


def test_the_presets_are_those_that_people_know():
    assert list(PRESETS) == ["none", "natural", "fresh", "soft", "studio", "glam"]
    assert PRESETS["none"] == Parameters()
    assert all(not preset(name).are_all_off for name in PRESETS if name != "none")
    assert len(set(PRESETS.values())) == len(PRESETS)


def test_presets_are_restrained():
    for name, parameters in PRESETS.items():
        assert max(abs(value) for value in parameters.as_dict().values()) <= 65, name


def test_an_unknown_preset_is_named():
    with pytest.raises(ParameterError, match="unknown preset 'galm'; there are: none, natural"):
        preset("galm")


def test_the_schema_for_pages_carries_the_presets():
    schema = schema_with_presets()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["properties"] == Parameters.json_schema()["properties"]
    assert {name: Parameters.parse(values) for name, values in schema["presets"].items()} == PRESETS
