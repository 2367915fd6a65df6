import dataclasses
import errno

import pytest

from mediasrv.processing import confinement as confinement_module
from mediasrv.processing.confinement import (
    GUARDS,
    NOT_ASKED,
    UNCONFINED,
    Confinement,
    Guard,
    SandboxLevel,
    usual_level,
)

STRICT = Confinement(landlock_abi=7, threads=1, **{guard.value: 0 for guard in GUARDS})


def test_strict_is_reached_only_when_nothing_is_missing():
    assert STRICT.reached is SandboxLevel.STRICT
    for guard in GUARDS:
        for error in (errno.ENOSYS, NOT_ASKED):
            without = dataclasses.replace(STRICT, **{guard.value: error})
            assert without.reached is SandboxLevel.BEST_EFFORT
            assert list(without.missing) == [guard]


def test_nothing_at_all_is_off():
    assert UNCONFINED.reached is SandboxLevel.OFF
    assert list(UNCONFINED.missing) == list(GUARDS)


@pytest.mark.parametrize(
    ("confinement", "demanded", "fulfils"),
    [
        (STRICT, SandboxLevel.STRICT, True),
        (dataclasses.replace(STRICT, landlock=errno.ENOSYS), SandboxLevel.STRICT, False),
        (dataclasses.replace(STRICT, landlock=errno.ENOSYS), SandboxLevel.BEST_EFFORT, True),
        (UNCONFINED, SandboxLevel.STRICT, False),
        (UNCONFINED, SandboxLevel.BEST_EFFORT, True),
        (UNCONFINED, SandboxLevel.OFF, True),
    ],
)
def test_only_strict_refuses(confinement, demanded, fulfils):
    assert confinement.fulfils(demanded) is fulfils


def test_a_line_for_people_says_what_is_missing_and_why():
    assert str(STRICT) == "strict, Landlock version 7"
    partial = dataclasses.replace(
        STRICT, landlock_abi=0, threads=3, landlock=errno.ENOSYS, no_new_privileges=errno.EPERM
    )
    assert str(partial) == (
        "best-effort, no Landlock, 3 threads, without no new privileges: Operation not permitted; "
        "landlock: Function not implemented"
    )
    assert "system calls: not asked for" in str(UNCONFINED)


def test_every_guard_is_a_field():
    names = [declared.name for declared in dataclasses.fields(Confinement)]
    assert names == ["landlock_abi", "threads", *(guard.value for guard in Guard)]


@pytest.mark.parametrize(("platform", "level"), [("linux", "strict"), ("darwin", "best-effort")])
def test_strict_is_usual_where_it_is_possible(monkeypatch, platform, level):
    monkeypatch.setattr(confinement_module.sys, "platform", platform)
    assert usual_level() == level
