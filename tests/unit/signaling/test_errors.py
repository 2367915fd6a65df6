import logging

import pytest

from signaling.errors import (
    ERROR_RULES,
    ErrorCode,
    Overloaded,
    PeerProtocolError,
    Refused,
    SignalingError,
    error_of,
)


def test_every_code_has_a_rule():
    assert list(ERROR_RULES) == list(ErrorCode)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_rule_makes_sense(code):
    rule = ERROR_RULES[code]
    assert rule.kind in (PeerProtocolError, Refused, Overloaded)
    assert rule.close_code in (None, 1003, 1007, 1008, 1009)
    assert 400 <= rule.http_status < 600
    assert rule.log_level.upper() in logging.getLevelNamesMapping()
    assert rule.retryable or rule.kind is not Overloaded
    assert rule.kind is PeerProtocolError or rule.close_code is None


@pytest.mark.parametrize("code", list(ErrorCode))
def test_an_error_is_of_the_class_that_the_table_names(code):
    error = error_of(code, "a sentence", retry_after_s=2.5)
    assert type(error) is ERROR_RULES[code].kind
    assert isinstance(error, SignalingError)
    assert (error.code, error.text, error.retry_after_s) == (code, "a sentence", 2.5)
    assert str(error) == f"{code}: a sentence"


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        ERROR_RULES[ErrorCode.INTERNAL] = ERROR_RULES[ErrorCode.BAD_SDP]  # type: ignore[index]
