"""Tests of what the doctor finds."""

import dataclasses
import errno
import json
import socket

import click
import pytest

from filters.errors import ModelMissing
from mediasrv.commands import checks, doctor, ports
from mediasrv.commands.checks import Finding, Level
from mediasrv.media import Codec
from mediasrv.processing import ProcessingConfig
from mediasrv.processing.confinement import GUARDS, Confinement


def test_this_machine_is_well_enough_to_test_on():
    findings = [check() for check in checks.all_checks(0)]
    assert [f.check for f in findings if f.level is Level.FAIL] == []
    assert all("\n" not in f.text + f.advice for f in findings)


def test_whoever_is_told_of_a_problem_is_told_what_to_do():
    for finding in (check() for check in checks.all_checks(0)):
        assert bool(finding.advice) == (finding.level is not Level.OK)


def test_a_missing_model_fails(monkeypatch):
    def missing():
        raise ModelMissing("mediapipe is absent")

    monkeypatch.setattr(checks, "MediaPipeFaceMesh", missing)
    assert checks.check_model().level is Level.FAIL


def test_an_encoder_that_draws_nonsense_fails(monkeypatch):
    monkeypatch.setattr(checks, "read_counter", lambda luma: None)
    assert checks.check_video_codec(Codec.VP8).level is Level.FAIL


def test_an_encoder_that_is_absent_fails(monkeypatch):
    monkeypatch.setitem(checks._DECODERS, Codec.VP8, "nonsense")
    assert checks.check_video_codec(Codec.VP8).level is Level.FAIL


def test_a_port_in_use_is_a_warning(monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(ports, "usable_local_addresses", lambda: ["127.0.0.1"])
        assert checks.check_udp_port(taken.getsockname()[1]).level is Level.WARN


@pytest.mark.parametrize(
    ("addresses", "level"),
    [
        ([], Level.FAIL),
        (["127.0.0.1", "::1"], Level.WARN),
        (["192.0.2.2", "127.0.0.1"], Level.OK),
    ],
)
def test_addresses_are_judged_by_who_can_reach_them(monkeypatch, addresses, level):
    monkeypatch.setattr(checks, "usable_local_addresses", lambda: addresses)
    assert checks.check_addresses().level is level


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 10), Level.FAIL), ((3, 11), Level.OK), ((3, 12), Level.OK), ((3, 13), Level.FAIL)],
)
def test_the_python_must_fit(monkeypatch, version, level):
    monkeypatch.setattr(checks.sys, "version_info", version)
    assert checks.check_python().level is level


def test_one_processor_is_a_warning(monkeypatch):
    monkeypatch.setattr(checks.os, "sched_getaffinity", lambda pid: {0})
    assert checks.check_kernel().level is Level.WARN


def test_small_buffers_are_a_warning_with_the_cure(monkeypatch):
    monkeypatch.setattr(checks, "SOCKET_BUFFER_BYTES", 2**30)
    finding = checks.check_buffers()
    assert finding.level is Level.WARN
    assert "sysctl" in finding.advice


def test_missing_segmentation_is_a_warning(monkeypatch):
    monkeypatch.setattr(checks, "gso_available", lambda: False)
    assert checks.check_gso().level is Level.WARN


def test_no_browser_is_a_warning(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda name: None)
    assert checks.check_browsers().level is Level.WARN


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("level", list(Level))
def test_only_a_failure_is_an_error(monkeypatch, capsys, level, as_json):
    finding = Finding("thing", level, "as it is", "do something")
    monkeypatch.setattr(doctor, "all_checks", lambda port: [lambda: finding])
    if level is Level.FAIL:
        with pytest.raises(click.exceptions.Exit) as caught:
            doctor.run_doctor(0, as_json=as_json)
        assert caught.value.exit_code == 1
    else:
        doctor.run_doctor(0, as_json=as_json)
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out)["findings"][0]["level"] == level
    else:
        assert "do something" in out


def test_the_sandbox_is_reported_as_a_real_worker_found_it(monkeypatch):
    full = Confinement(7, 1, *(0 for _ in GUARDS))
    assert checks.judge_confinement(full) == Finding(
        "sandbox", Level.OK, "strict, Landlock version 7"
    )
    partial = dataclasses.replace(full, landlock_abi=0, landlock=errno.ENOSYS)
    finding = checks.judge_confinement(partial)
    assert finding.level is Level.WARN
    assert "landlock: Function not implemented" in finding.text
    assert "--sandbox best-effort" in finding.advice


def test_a_worker_that_does_not_start_fails(monkeypatch):
    broken = ProcessingConfig(pipeline="nothing:at_all")
    monkeypatch.setattr(checks, "ProcessingConfig", lambda: broken)
    assert checks.check_sandbox().level is Level.FAIL
