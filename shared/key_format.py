"""What an API key is: 256 random bits behind a prefix, shown once and stored as its SHA-256.

A plain hash is enough for such a secret, unlike for a password: there is nothing to guess, so a slow salted hash
would cost every request and protect nothing.
"""

import hashlib
import secrets

PREFIX = "sk-crof-"
SHORTEST = 32  # characters of a key that somebody else has made, beside the prefix
MOST_NAME = 100  # characters of what a key is called, and an account
LATEST = 1e11  # Unix seconds, of the year 5138: the last end that a key may have


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What the database has of a key."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def is_fit(secret: str) -> bool:
    """Whether a key that somebody else has made has the form of ours."""
    return secret.startswith(PREFIX) and len(secret) >= len(PREFIX) + SHORTEST and secret.isascii()
