"""Accounts and their API keys, in SQL."""

import hmac
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError

from shared import admin_keys
from shared.account_tables import ACCOUNTS, KEYS, new_id
from shared.errors import (
    InvalidKey,
    InvalidName,
    KeyExpired,
    KeyRevoked,
    KeyTooNarrow,
    LastAdminKey,
    NameTaken,
    TooManyKeys,
)
from shared.key_format import MOST_NAME, digest, new_secret
from shared.sql import Database, Tables, page
from shared.tiers import Limits

BOUNDS = ("models", "tiers", "limits", "expires")  # of a key
MOST_VALID = 100  # keys of an account that makes them itself
MOST_NEW, NEW_DAYS = 1000, 30  # the same, made in so many days, whatever has become of them
DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Times are Unix seconds; `suspended` is None while its keys work."""

    id: str
    name: str
    tier: str
    created: float
    suspended: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is listed, with its account's name and tier. Times are Unix seconds.

    `revoked` is None while the key is valid, and `expires` if it always will be. `models`, `tiers` and `limits`
    are as a Holder's.
    """

    id: str
    name: str
    account: str
    account_name: str
    tier: str
    admin: bool
    models: list[str] | None
    tiers: list[str] | None
    limits: Limits | None
    created: float
    expires: float | None
    last_used: float | None
    revoked: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(Key):
    """A key just made: the only time that its secret is known."""

    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who sent a request: the account, of this tier, and the key it used.

    The key may be good for these models (ids) and tiers only, None for all that the account's tier may use; and it
    may have limits of its own, beside its account's. An admin's key manages accounts. It is good until `expires`,
    in Unix seconds, and for nothing while its account is suspended.
    """

    account: str
    key: str
    tier: str
    admin: bool = False
    models: frozenset[str] | None = None
    tiers: frozenset[str] | None = None
    limits: Limits | None = None
    expires: float | None = None
    suspended: bool = False


class Accounts(Tables):
    """All accounts and keys. Several processes may use one database; SetupError says that it cannot be used.

    A list is the oldest first, and what follows the entry whose id is `after`; without such an entry it raises
    InvalidRequest.
    """

    def __init__(self, database: Database | str, now: Callable[[], float] = time.time) -> None:
        super().__init__(database)
        self._now = now

    # Accounts

    def create_account(self, name: str, tier: str) -> Account:
        """A new account. Raises InvalidName or NameTaken."""
        _check_name(name)
        account = Account(id=new_id("acc"), name=name, tier=tier, created=self._now())
        with self._database.begin() as connection:
            _insert_account(connection, account)
        return account

    def list_accounts(
        self, *, name: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Account]:
        """All accounts, or the one of this name."""
        query = sql.select(ACCOUNTS)
        if name is not None:
            query = query.where(ACCOUNTS.c.name == name)
        with self._database.begin() as connection:
            rows = page(connection, query, ACCOUNTS.c.created, ACCOUNTS.c.id, after, limit)
        return [Account(**row._mapping) for row in rows]

    def of_other_tiers(self, known: Collection[str]) -> list[tuple[str, int, str]]:
        """Of each tier that is none of these: its id, how many accounts are of it, and the first one's name."""
        query = sql.select(ACCOUNTS.c.tier, sql.func.count(), sql.func.min(ACCOUNTS.c.name))
        query = query.where(ACCOUNTS.c.tier.not_in(known)).group_by(ACCOUNTS.c.tier).order_by(ACCOUNTS.c.tier)
        with self._database.begin() as connection:
            return [(tier, count, name) for tier, count, name in connection.execute(query)]

    def account(self, account_id: str) -> Account | None:
        with self._database.begin() as connection:
            row = connection.execute(sql.select(ACCOUNTS).where(ACCOUNTS.c.id == account_id)).first()
        return None if row is None else Account(**row._mapping)

    def change_account(
        self, account_id: str, *, tier: str | None = None, suspended: bool | None = None
    ) -> Account | None:
        """Change what is given; None if there is no such account."""
        changes: dict[str, Any] = {} if tier is None else {"tier": tier}
        if suspended is not None:
            # Who is suspended again stays so since the first time.
            since = sql.func.coalesce(ACCOUNTS.c.suspended, self._now())
            changes["suspended"] = since if suspended else None
        with self._database.begin() as connection:
            if changes:
                connection.execute(ACCOUNTS.update().where(ACCOUNTS.c.id == account_id).values(**changes))
            row = connection.execute(sql.select(ACCOUNTS).where(ACCOUNTS.c.id == account_id)).first()
        return None if row is None else Account(**row._mapping)

    # Keys

    def create_key(self, name: str, tier: str) -> NewKey:
        """A new key for the account of this name, which is made if there is none.

        Raises InvalidName; or NameTaken if the account has another tier.
        """
        _check_name(name)
        found = self.list_accounts(name=name)
        try:
            account = found[0] if found else self.create_account(name, tier)
        except NameTaken:
            # Another process has just made it.
            [account] = self.list_accounts(name=name)
        if account.tier != tier:
            raise NameTaken(f"the account '{name}' is of the tier '{account.tier}', not '{tier}'", param="tier")
        return self.add_key(account, name)

    def add_key(
        self,
        account: Account,
        name: str,
        *,
        admin: bool = False,
        models: Iterable[str] | None = None,
        tiers: Iterable[str] | None = None,
        limits: Limits | None = None,
        expires: float | None = None,
        by: Key | None = None,
    ) -> NewKey:
        """A new key for this account, which it makes itself `by` this key of its own, if one is given.

        Raises InvalidName. By a key, TooManyKeys, too; InvalidKey if that has ended meanwhile, and KeyTooNarrow if
        its bounds are others by now: what was looked at before holds no more.
        """
        _check_name(name)
        key = NewKey(
            id=new_id("key"),
            name=name,
            account=account.id,
            account_name=account.name,
            tier=account.tier,
            admin=admin,
            models=None if models is None else list(models),
            tiers=None if tiers is None else list(tiers),
            limits=limits,
            created=self._now(),
            expires=expires,
            last_used=None,
            revoked=None,
            secret=new_secret(),
        )
        with self._database.begin() as connection:
            if by is None:
                _insert_key(connection, key)
                return key
            # Here, too, so that who makes too many makes nobody wait.
            self._check_count(connection, account.id)
        # Of several that make the last one, one does.
        with self._database.holding(sql.select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == account.id)) as connection:
            self._check_count(connection, account.id)
            self._check_maker(connection, by)
            _insert_key(connection, key)
        return key

    def _check_maker(self, connection: sql.Connection, by: Key) -> None:
        # Shared: who revokes it meanwhile waits until the new one is there to be seen.
        query = _listed.where(KEYS.c.id == by.id).with_for_update(read=True, of=KEYS)
        row = connection.execute(query).first()
        if row is None or row.revoked is not None or (row.expires is not None and row.expires <= self._now()):
            raise InvalidKey
        now = _key(row)
        if any(getattr(now, name) != getattr(by, name) for name in BOUNDS):
            raise KeyTooNarrow("Your API key has been changed meanwhile. Send the request again.")

    def _check_count(self, connection: sql.Connection, account: str) -> None:
        now, count = self._now(), sql.func.count()
        unended, new = KEYS.c.revoked.is_(None) & _unended(now), KEYS.c.created > now - NEW_DAYS * DAY
        mine = sql.select(count.filter(unended), count.filter(new)).where(KEYS.c.account == account)
        valid, made = connection.execute(mine).one()
        if valid >= MOST_VALID:
            raise TooManyKeys(f"The account has {valid} valid API keys, as many as it may. Revoke one first.")
        if made >= MOST_NEW:
            raise TooManyKeys(
                f"The account has got {made} API keys in the last {NEW_DAYS} days, as many as it may make itself. "
                "Try again tomorrow, or ask the operator for more."
            )

    def list_keys(
        self, *, account: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Key]:
        """All keys ever made, or those of one account."""
        query = _listed if account is None else _listed.where(KEYS.c.account == account)
        with self._database.begin() as connection:
            return [_key(row) for row in page(connection, query, KEYS.c.created, KEYS.c.id, after, limit)]

    def key(self, key_id: str) -> Key | None:
        with self._database.begin() as connection:
            row = connection.execute(_listed.where(KEYS.c.id == key_id)).first()
        return None if row is None else _key(row)

    def change_key(self, key_id: str, changes: dict[str, Any], *, force: bool = False) -> Key | None:
        """Change some of `name`, `models`, `tiers`, `limits` and `expires`; None if there is no such key.

        Raises InvalidName, KeyRevoked, KeyExpired; and LastAdminKey if that is to have an end, unless forced.
        """
        if "name" in changes:
            _check_name(changes["name"])
        if isinstance(limits := changes.get("limits"), Limits):
            changes = changes | {"limits": _limits_json(limits)}
        key = self.key(key_id)
        if key is None or not changes:
            return key
        end = changes.get("expires")
        ends = end is not None and (key.expires is None or end < key.expires)
        with self._guarded(key, force or not ends) as connection:
            # One that has ended stays so, as each that is valid counts.
            if not connection.execute(_unrevoked(key_id).where(_unended(self._now())).values(**changes)).rowcount:
                revoked = sql.select(KEYS.c.revoked).where(KEYS.c.id == key_id)
                raise KeyExpired if connection.execute(revoked).scalar() is None else KeyRevoked
        return self.key(key_id)

    def revoke_key(self, key_id: str, *, force: bool = False) -> Key | None:
        """Make a key invalid, for good; None if there is no such key. Raises LastAdminKey, unless forced."""
        key = self.key(key_id)
        if key is None or key.revoked is not None:
            return key
        with self._guarded(key, force) as connection:
            connection.execute(_unrevoked(key_id).values(revoked=self._now()))
        return self.key(key_id)

    @contextmanager
    def _guarded(self, key: Key, force: bool) -> Iterator[sql.Connection]:
        """A transaction in which a key may get an end. Raises LastAdminKey if it is that, unless forced."""
        if force or not key.admin:
            with self._database.begin() as connection:
                yield connection
            return
        # Alone: of the last two, not both may be taken for one that leaves the other.
        with self._database.alone() as connection:
            if admin_keys.is_last(connection, key.id, self._now()):
                raise LastAdminKey
            yield connection

    def find(self, secret: str) -> Holder | None:
        """Whose key this is; None if it is unknown, revoked or has expired."""
        hashed = digest(secret)
        wanted = (KEYS.c.hash == hashed) & KEYS.c.revoked.is_(None)
        query = sql.select(KEYS, ACCOUNTS.c.tier, ACCOUNTS.c.suspended).join(ACCOUNTS).where(wanted)
        with self._database.begin() as connection:
            row = connection.execute(query).first()
        # An index compares as far as two hashes are alike, which is no secret; what decides takes the same time.
        if row is None or not hmac.compare_digest(row.hash, hashed):
            return None
        if row.expires is not None and row.expires <= self._now():
            return None
        return Holder(
            account=row.account,
            key=row.id,
            tier=row.tier,
            admin=row.admin,
            models=None if row.models is None else frozenset(row.models),
            tiers=None if row.tiers is None else frozenset(row.tiers),
            limits=None if row.limits is None else Limits(**row.limits),
            expires=row.expires,
            suspended=row.suspended is not None,
        )

    def note_uses(self, key_ids: Collection[str]) -> None:
        """Note that these keys have just been used."""
        if key_ids:
            with self._database.begin() as connection:
                connection.execute(KEYS.update().where(KEYS.c.id.in_(key_ids)).values(last_used=self._now()))


_columns = [column for column in KEYS.columns if column.name != "hash"]
_listed: sql.Select[Any] = sql.select(*_columns, ACCOUNTS.c.name.label("account_name"), ACCOUNTS.c.tier).join(
    ACCOUNTS
)


def _key(row: sql.Row[Any]) -> Key:
    limits = None if row.limits is None else Limits(**row.limits)
    return Key(**dict(row._mapping) | {"limits": limits})


def _unrevoked(key_id: str) -> sql.Update:
    return KEYS.update().where(KEYS.c.id == key_id, KEYS.c.revoked.is_(None))


def _unended(now: float) -> sql.ColumnElement[bool]:
    return sql.or_(KEYS.c.expires.is_(None), KEYS.c.expires > now)


def _insert_account(connection: sql.Connection, account: Account) -> None:
    row = {field.name: getattr(account, field.name) for field in fields(Account)}
    try:
        connection.execute(ACCOUNTS.insert().values(**row))
    except IntegrityError:
        raise NameTaken(f"there is an account '{account.name}' already", param="name") from None


def _insert_key(connection: sql.Connection, key: NewKey) -> None:
    row = {column.name: getattr(key, column.name) for column in _columns if column.name != "limits"}
    limits = None if key.limits is None else _limits_json(key.limits)
    connection.execute(KEYS.insert().values(**row, limits=limits, hash=digest(key.secret)))


def _limits_json(limits: Limits) -> dict[str, int]:
    return limits.model_dump(exclude_none=True)


def _check_name(name: str) -> None:
    """Names are shown in lists: a line of them has to stay one."""
    if not name.strip() or not name.isprintable() or len(name) > MOST_NAME:
        got = f"{len(name)} of them" if len(name) > MOST_NAME else repr(name)
        raise InvalidName(f"a name should be 1 to {MOST_NAME} printable characters, got {got}")
