"""Accounts and their API keys, in SQL: SQLite by default, PostgreSQL by another URL.

A key is 256 random bits, shown once and stored as its SHA-256. A plain hash is enough for such a secret, unlike
for a password: there is nothing to guess, so a slow salted hash would cost every request and protect nothing.
"""

import hashlib
import secrets
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from shared.errors import InvalidName, SetupError
from shared.tiers import Limits

BUSY = 5.0  # seconds to wait for another process that writes to the database
PREFIX = "sk-crof-"
MOST_NAME = 100  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made: the only time that its secret is known."""

    id: str
    account: str
    name: str
    tier: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is listed. Times are Unix seconds; `revoked` is None while the key is valid."""

    id: str
    account: str
    name: str
    tier: str
    created: float
    last_used: float | None
    revoked: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who sent a request: the account, of this tier, and the key it used.

    The key may be good for these models (ids) and tiers only, None for all that the account's tier may use; and it
    may have limits of its own, beside its account's. An admin's key manages accounts.
    """

    account: str
    key: str
    tier: str
    admin: bool = False
    models: frozenset[str] | None = None
    tiers: frozenset[str] | None = None
    limits: Limits | None = None


class Accounts:
    """All accounts and keys. Several processes may use one database; SetupError says that it cannot be used."""

    def __init__(self, url: str, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._engine = _engine(url)
        self._name = self._engine.url.render_as_string(hide_password=True)

    def create_tables(self) -> None:
        """Create what is missing. Safe in several processes at once."""
        with self._begin() as connection:
            for table in (_accounts, _keys):
                connection.execute(CreateTable(table, if_not_exists=True))

    def create_key(self, name: str, tier: str) -> NewKey:
        """A new key for the account of this name, which is made if there is none. Raises InvalidName."""
        _check_name(name)
        key_id, secret = _new_id("key"), PREFIX + secrets.token_urlsafe(32)
        with self._begin() as connection:
            account = self._account(connection, name)
            row = {"id": key_id, "account": account, "name": name, "tier": tier, "created": self._now()}
            connection.execute(_keys.insert().values(**row, hash=_digest(secret)))
        return NewKey(id=key_id, account=account, name=name, tier=tier, secret=secret)

    def list_keys(self) -> list[Key]:
        """All keys ever made, oldest first."""
        columns = [column for column in _keys.columns if column.name != "hash"]
        with self._begin() as connection:
            rows = connection.execute(sql.select(*columns).order_by(_keys.c.created, _keys.c.id))
            return [Key(**row._mapping) for row in rows]

    def revoke_key(self, id_or_name: str) -> list[str]:
        """Revoke the key of this id, or all keys of this name; the ids of those that were valid until now."""
        matches = sql.or_(_keys.c.id == id_or_name, _keys.c.name == id_or_name) & _keys.c.revoked.is_(None)
        change = _keys.update().where(matches).values(revoked=self._now()).returning(_keys.c.id)
        with self._begin() as connection:
            return list(connection.execute(change).scalars())

    def find(self, secret: str) -> Holder | None:
        """Whose key this is; None if it is unknown or revoked."""
        wanted = (_keys.c.hash == _digest(secret)) & _keys.c.revoked.is_(None)
        with self._begin() as connection:
            row = connection.execute(_keys.select().where(wanted)).first()
        return None if row is None else Holder(account=row.account, key=row.id, tier=row.tier)

    def note_uses(self, key_ids: Collection[str]) -> None:
        """Note that these keys have just been used."""
        if key_ids:
            with self._begin() as connection:
                connection.execute(_keys.update().where(_keys.c.id.in_(key_ids)).values(last_used=self._now()))

    def _account(self, connection: sql.Connection, name: str) -> str:
        """The id of the account of this name."""
        # One statement, so that of two processes that look at once only one makes the account.
        new = sql.select(sql.literal(_new_id("acc")), sql.literal(name), sql.literal(self._now()))
        taken = sql.exists().where(_accounts.c.name == name)
        connection.execute(_accounts.insert().from_select(["id", "name", "created"], new.where(~taken)))
        account: str = connection.execute(sql.select(_accounts.c.id).where(_accounts.c.name == name)).scalar_one()
        return account

    @contextmanager
    def _begin(self) -> Iterator[sql.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise SetupError(
                f"the database {self._name} cannot be used: {cause}. Check CROFAI_DATABASE_URL."
            ) from error


_metadata = sql.MetaData()
_accounts = sql.Table(
    "accounts",
    _metadata,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False, unique=True),
    sql.Column("created", sql.Double, nullable=False),
)
_keys = sql.Table(
    "keys",
    _metadata,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("account", sql.ForeignKey("accounts.id"), nullable=False),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("hash", sql.String(64), nullable=False, unique=True),
    sql.Column("tier", sql.String, nullable=False),
    sql.Column("created", sql.Double, nullable=False),
    sql.Column("last_used", sql.Double),
    sql.Column("revoked", sql.Double),
)


def _engine(url: str) -> sql.Engine:
    try:
        parsed = sql.make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return sql.create_engine(parsed, pool_pre_ping=True)
        # A connection costs 0.3 ms, and belongs to one thread.
        engine = sql.create_engine(parsed, poolclass=sql.NullPool, connect_args={"timeout": BUSY})
        if parsed.database not in (None, "", ":memory:"):
            Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except ArgumentError:
        # The text is not repeated: it may hold a password.
        raise SetupError(
            "CROFAI_DATABASE_URL is not a database URL, such as sqlite:////var/lib/crofai.db"
        ) from None
    except ImportError as error:
        raise SetupError(f"CROFAI_DATABASE_URL needs a Python driver: {error}. Install it with pip.") from None
    except OSError as error:
        raise SetupError(f"the database's folder cannot be made: {error}. Check CROFAI_DATA_DIR.") from None
    sql.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Readers and a writer at the same time; a second writer waits for BUSY seconds."""
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _switch_to_wal(connection: Any) -> None:
    """The timeout is not for this: two that switch a new database at once are refused, not made to wait."""
    deadline = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _check_name(name: str) -> None:
    """Names are shown in lists: a line of them has to stay one."""
    if not name.strip() or not name.isprintable() or len(name) > MOST_NAME:
        got = f"{len(name)} of them" if len(name) > MOST_NAME else repr(name)
        raise InvalidName(f"a key's name should be 1 to {MOST_NAME} printable characters, got {got}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:16]}"
