"""Headers that every response has."""

from gateway import safety

HTTPS = {"wsgi.url_scheme": "https"}


def names(headers: list[tuple[bytes, bytes]]) -> set[str]:
    return {name.decode() for name, _ in headers}


def test_what_is_missing_is_added() -> None:
    assert names(safety.missing([(b"Content-Type", b"text/html")], {})) == set(safety.ALWAYS)


def test_what_a_response_says_itself_stays() -> None:
    own = [(b"cache-control", b"no-cache"), (b"Content-Security-Policy", b"default-src 'self'")]
    added = names(safety.missing(own, {"wsgi.url_scheme": "http"}))
    assert added == set(safety.ALWAYS) - {"Cache-Control", "Content-Security-Policy"}


def test_only_who_came_by_tls_is_told_to_come_by_tls() -> None:
    assert names(safety.missing([], HTTPS)) == set(safety.ALWAYS) | set(safety.BY_TLS)
    assert (b"Strict-Transport-Security", b"max-age=31536000") in safety.missing([], HTTPS)
