"""The error tree: every error a client may see has a status, a code and words, and stands in the drawing."""

from shared import errors
from shared.errors import Relayed, RequestError
from shared.messages import Failure


def leaves(kind: type[RequestError]) -> list[type[RequestError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


def test_every_error_has_its_words_and_its_place_in_the_drawing() -> None:
    for kind in leaves(RequestError):
        if kind.__module__ != errors.__name__ or kind is Relayed:
            continue
        failure = kind().failure()
        assert failure.message
        assert 400 <= failure.status < 600
        assert kind.__name__ in (errors.__doc__ or "")


def test_codes_are_unique() -> None:
    kinds = [kind for kind in leaves(RequestError) if kind is not Relayed]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_what_may_work_again_soon_says_when() -> None:
    """Every 429 and 503, and nothing else: those are the statuses that promise it."""
    for kind in leaves(RequestError):
        assert (kind.retry_after is not None) == (kind.status in (429, 503)), kind


def test_a_relayed_failure_is_passed_on_as_it_was() -> None:
    failure = Failure(status=418, code="teapot", message="short", param="stout")
    assert Relayed(failure).failure() == failure
