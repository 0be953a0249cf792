"""Admins' keys: the first is made or handed in, and the last is kept from being lost unawares."""

import time
from collections.abc import Callable
from itertools import count

import sqlalchemy as sql

from shared.account_tables import ACCOUNTS, KEYS, new_id
from shared.errors import SetupError
from shared.key_format import PREFIX, SHORTEST, digest, is_fit, new_secret
from shared.sql import Database, Tables

ADMIN = "admin"  # the account of the keys that are made or adopted here


class AdminKeys(Tables):
    """Several processes may use one database; SetupError says that it cannot be used."""

    def __init__(self, database: Database | str, now: Callable[[], float] = time.time) -> None:
        super().__init__(database)
        self._now = now

    def make(self, tier: str, keep: Callable[[str], None]) -> bool:
        """If no admin's key is valid, make one, once for all processes; its account, if new, is of this tier.

        `keep` is handed the secret before the key becomes valid; if it raises, there is no key.
        """
        with self._database.begin() as connection:
            if connection.execute(valid(self._now())).first():
                return False
        with self._database.alone() as connection:
            if connection.execute(valid(self._now())).first():
                # Another process was faster.
                return False
            secret = new_secret()
            keep(secret)
            self._insert(connection, tier, secret, "made at the first start")
        return True

    def adopt(self, tier: str, secret: str) -> None:
        """Have this be an admin's key. Raises SetupError if it cannot be."""
        if not is_fit(secret):
            raise SetupError(
                f"CROFAI_ADMIN_KEY should be {PREFIX} and at least {SHORTEST} random letters and digits"
            )
        known = sql.select(KEYS).where(KEYS.c.hash == digest(secret))
        with self._database.begin() as connection:
            row = connection.execute(known).first()
        if row is None:
            with self._database.alone() as connection:
                row = connection.execute(known).first()
                if row is None:
                    self._insert(connection, tier, secret, "CROFAI_ADMIN_KEY")
        if row is not None and (row.revoked is not None or not row.admin):
            raise SetupError(f"CROFAI_ADMIN_KEY is {'no admin' if row.revoked is None else 'a revoked'} key")

    def is_valid(self, secret: str) -> bool:
        """Whether this is an admin's key that is valid."""
        with self._database.begin() as connection:
            return connection.execute(valid(self._now()).where(KEYS.c.hash == digest(secret))).first() is not None

    def _insert(self, connection: sql.Connection, tier: str, secret: str, name: str) -> None:
        row = {"id": new_id("key"), "name": name, "created": self._now(), "admin": True, "hash": digest(secret)}
        connection.execute(KEYS.insert().values(**row, account=self._account(connection, tier)))

    def _account(self, connection: sql.Connection, tier: str) -> str:
        """The id of our account. One that is suspended is left so, with its keys, and another takes its place."""
        for number in count(1):
            name = ADMIN if number == 1 else f"{ADMIN}-{number}"
            found = connection.execute(sql.select(ACCOUNTS).where(ACCOUNTS.c.name == name)).first()
            if found is None:
                account = new_id("acc")
                row = {"name": name, "tier": tier, "created": self._now()}
                connection.execute(ACCOUNTS.insert().values(id=account, **row))
                return account
            if found.suspended is None:
                return str(found.id)
        raise AssertionError


def valid(now: float) -> sql.Select[tuple[str, float | None]]:
    """Ids and ends of the admins' keys that are good for something."""
    unended = sql.or_(KEYS.c.expires.is_(None), KEYS.c.expires > now)
    chosen = sql.select(KEYS.c.id, KEYS.c.expires).join(ACCOUNTS).where(KEYS.c.admin & unended)
    return chosen.where(KEYS.c.revoked.is_(None), ACCOUNTS.c.suspended.is_(None))


def is_last(connection: sql.Connection, key_id: str, now: float) -> bool:
    """Whether nobody is left to manage accounts without this key: no other admin's key is valid, or, if this one
    has no end, none that has none either."""
    ends = {row.id: row.expires for row in connection.execute(valid(now))}
    if key_id not in ends:
        return False
    own = ends.pop(key_id)
    return not ends if own is not None else None not in ends.values()
