import json

import pytest

from mediasrv.tracing.spans import NoSpans, open_spans
from signaling.errors import ErrorCode, Refused


def spans_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_request_is_a_span_with_its_kind_and_room(tmp_path):
    path = tmp_path / "spans.jsonl"
    with open_spans(str(path)) as spans, spans.request("publish", "studio"):
        pass
    (span,) = spans_in(path)
    assert span["name"] == "signaling publish"
    assert span["attributes"] == {"mediasrv.room": "studio"}
    assert span["start_time"] <= span["end_time"]
    assert span["resource"]["attributes"]["service.name"] == "mediasrv"


def test_a_refusal_is_told_by_its_code_and_never_by_its_words(tmp_path):
    path = tmp_path / "spans.jsonl"
    refusal = Refused(ErrorCode.BAD_SDP, "what the peer sent: a secret")
    with (
        open_spans(str(path)) as spans,
        pytest.raises(Refused),
        spans.request("publish", "studio"),
    ):
        raise refusal
    (span,) = spans_in(path)
    assert span["attributes"]["mediasrv.refused"] == "bad_sdp"
    assert span["events"] == []
    assert "secret" not in path.read_text()


def test_without_a_file_nothing_is_noted():
    with open_spans(None) as spans:
        assert isinstance(spans, NoSpans)
        with spans.request("join", "studio"):
            pass


def test_spans_go_behind_what_the_file_holds(tmp_path):
    path = tmp_path / "spans.jsonl"
    for _ in range(2):
        with open_spans(str(path)) as spans, spans.request("join", "studio"):
            pass
    assert len(spans_in(path)) == 2
