import pytest

from filters.errors import FilterError
from mediasrv.processing.errors import ProcessingError
from mediasrv.processing.pipeline import open_front_stages, open_named, warm_up
from tests.marker_stage import paint
from tests.stand_in_pipeline import StandIn

NOWHERE = "tests.marker_stage:no_such_factory"


def test_a_factory_is_found_by_its_name_and_called():
    assert isinstance(open_named("tests.stand_in_pipeline:open_stand_in"), StandIn)
    assert open_front_stages(["tests.marker_stage:open_marker"]) == (paint,)
    assert open_front_stages([]) == ()


@pytest.mark.parametrize(
    "name",
    ["", ":", "tests.marker_stage", "tests.marker_stage:", ":open_marker", "no:thing", NOWHERE],
)
def test_a_name_that_leads_nowhere_is_an_error_with_that_name(name):
    with pytest.raises(ProcessingError, match=r"form|there is no"):
        open_named(name)


def test_an_error_of_the_factory_itself_comes_through():
    with pytest.raises(FilterError):
        open_named("tests.stand_in_pipeline:open_missing")


def test_warming_up_runs_every_stage_with_every_filter_on():
    seen = []

    class Pipeline:
        def apply(self, image, parameters, *, elapsed_s):
            seen.append((image.width_px, set(parameters.as_dict().values())))

    warm_up(Pipeline(), [lambda image: seen.append(image.height_px)])
    assert seen == [360, (640, {100})]
