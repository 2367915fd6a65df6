"""The rules of this test suite are themselves tested: a fence nobody sees fail may be open."""

from pathlib import Path

import pytest

RULES = (Path(__file__).resolve().parent.parent / "conftest.py").read_text()
OPTIONS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


@pytest.fixture
def suite(pytester):
    """A suite of its own under the same rules."""
    pytester.makeini(OPTIONS)
    pytester.makeconftest(RULES)

    def run(source):
        pytester.makepyfile(source)
        # In a process of its own: plugins and event loop policies do not mix.
        return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")

    return run


def test_a_leaked_task_fails_its_test(suite):
    result = suite(
        """
        import asyncio

        async def test_leak():
            asyncio.create_task(asyncio.sleep(60), name="the-leaked-one")
        """
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*tasks left running:*the-leaked-one*"])


def test_a_task_that_its_fixture_ends_is_no_leak(suite):
    result = suite(
        """
        import asyncio
        import pytest

        @pytest.fixture
        async def owned():
            task = asyncio.create_task(asyncio.sleep(60))
            yield task
            task.cancel()

        async def test_owned(owned):
            assert not owned.done()
        """
    )
    result.assert_outcomes(passed=1)


def test_a_leaked_process_fails_the_run(suite):
    result = suite(
        """
        import subprocess

        left = []

        def test_leak():
            left.append(subprocess.Popen(["sleep", "5"]))
        """
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*child processes left running: * sleep 5*"])


def test_missing_clips_fail_with_what_to_do_instead_of_skipping(suite, monkeypatch):
    monkeypatch.setenv("MEDIASRV_TEST_MEDIA", "/nowhere")
    result = suite("def test_clip(media): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no test clips in /nowhere: set MEDIASRV_TEST_MEDIA*"])


def test_a_warning_is_an_error(suite):
    result = suite(
        """
        import warnings

        def test_warn():
            warnings.warn("old")
        """
    )
    result.assert_outcomes(failed=1)
