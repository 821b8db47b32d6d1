import grpc
import pytest
from google.rpc.status_pb2 import Status

from sidecar.retry_info import retry_after, retry_trailer


def test_what_is_written_is_read():
    key, value = retry_trailer(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")
    status = Status.FromString(value)
    assert (key, status.code, status.message) == ("grpc-status-details-bin", 8, "too many")
    assert retry_after([("other", "1"), (key, value)]) == 0.1


@pytest.mark.parametrize(
    "trailers",
    [
        None,
        (),
        [("grpc-status-details-bin", b"\xff")],
        [("grpc-status-details-bin", b"")],
        [("grpc-status-details-bin", Status(code=8).SerializeToString())],
        [("retry-after", "1")],
    ],
)
def test_no_word_of_a_delay_is_none(trailers):
    assert retry_after(trailers) is None
