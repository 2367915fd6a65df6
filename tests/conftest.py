"""What every test gets: the media clips, and the rule that nothing may be left behind."""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CHILD_EXIT_TIMEOUT_S = 3.0


@pytest.fixture(scope="session")
def media() -> Path:
    """The directory of real clips and stills."""
    directory = Path(os.environ.get("MEDIASRV_TEST_MEDIA", REPOSITORY.parent / "shared" / "media"))
    if not (directory / "clip_woman_1280x720.mp4").is_file():
        pytest.fail(
            f"no test clips in {directory}: set MEDIASRV_TEST_MEDIA to the directory that holds "
            "clip_woman_1280x720.mp4 and its neighbours"
        )
    return directory


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail the test when an asyncio task outlives it."""
    yield
    for _ in range(5):  # tasks cancelled by close() need a turn of the loop to end
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if left:
        pytest.fail("tasks left running: " + ", ".join(repr(task) for task in left))


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> None:
    """Watch asynchronous tests for leaked tasks.

    Requested before all other fixtures, so the check runs after theirs have been closed.
    """
    if inspect.iscoroutinefunction(inspect.unwrap(getattr(request, "function", None) or object)):
        request.getfixturevalue("no_leaked_tasks")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a child process is still there at its end."""
    children = [
        child
        for child in psutil.Process().children(recursive=True)
        # Python's own, one per process that ever shared memory; it ends with its parent.
        if "multiprocessing.resource_tracker" not in " ".join(_command(child))
    ]
    _, alive = psutil.wait_procs(children, timeout=CHILD_EXIT_TIMEOUT_S)
    if alive:
        names = ", ".join(f"{child.pid} {' '.join(_command(child))[:120]}" for child in alive)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"\nchild processes left running: {names}", red=True)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
