from benchmarks.rig.repeats import merge


def test_one_result_stays_as_it_is():
    assert merge([{"a": 1}]) == {"a": 1}


def test_figures_are_medians_samples_are_joined_and_every_repeat_is_kept():
    results = [
        {"method": "m", "runs": [{"size": "720p", "p50": p, "samples_ms": [p, p]}]}
        for p in (1.0, 9.0, 2.0)
    ]
    merged = merge(results)
    assert merged["method"] == "m"
    row = {"size": "720p", "p50": 2.0, "samples_ms": [1.0, 1.0, 9.0, 9.0, 2.0, 2.0]}
    assert merged["runs"] == [row]
    assert [r["runs"] for r in merged["repeats"]] == [
        [{"size": "720p", "p50": p}] for p in (1.0, 9.0, 2.0)
    ]


def test_a_figure_that_was_refused_once_is_the_median_of_the_others():
    merged = merge(
        [{"runs": [{"p50": 3}]}, {"runs": [{"refused": "late"}]}, {"runs": [{"p50": 5}]}]
    )
    assert merged["runs"] == [{"p50": 4, "refused_repeats": 1}]


def test_a_figure_that_was_always_refused_says_why():
    assert merge([{"runs": [{"refused": "late"}]}] * 2)["runs"] == [{"refused": "late"}]


def test_truth_is_no_number():
    assert merge([{"ok": True}, {"ok": False}])["ok"] is True
