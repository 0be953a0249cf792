"""Numbers in headers."""

import pytest

from gateway.api.requests import whole_number
from shared.errors import InvalidRequest


@pytest.mark.parametrize(("said", "number"), [("0", 0), ("007", 7), ("300", 300)])
def test_a_whole_number_is_read(said: str, number: int) -> None:
    assert whole_number("X-N", said, "a number", 300) == number
    assert whole_number("X-N", "9" * 9, "a number") == 999_999_999


@pytest.mark.parametrize(
    "said", ["", "301", "-1", "+1", "1.0", "1 ", "1_0", "1\n", "0" * 10, "9" * 5000, "³", "٣"]
)
def test_anything_else_is_refused_by_the_headers_name(said: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        whole_number("X-N", said, "a number up to 300", 300)
    assert str(error.value).startswith("X-N: should be a number up to 300, got ")
    assert len(str(error.value)) < 100
