"""Accounts and their API keys, in SQL.

A key is 256 random bits, shown once and stored as its SHA-256. A plain hash is enough for such a secret, unlike
for a password: there is nothing to guess, so a slow salted hash would cost every request and protect nothing.
"""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError

from shared.errors import InvalidName, NameTaken, SetupError
from shared.sql import Database, Tables, page
from shared.tiers import Limits

PREFIX = "sk-crof-"
MOST_NAME = 100  # characters
ADMIN = "admin"  # the account of the keys that are made or adopted at a start
SHORTEST = 32  # characters of an admin key that is adopted, beside the prefix


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

    A list is the oldest first, and what follows the entry whose id is `after`.
    """

    def __init__(self, database: Database | str, now: Callable[[], float] = time.time) -> None:
        super().__init__(database)
        self._now = now

    # Accounts

    def create_account(self, name: str, tier: str) -> Account:
        """A new account. Raises InvalidName or NameTaken."""
        _check_name(name)
        account = Account(id=_new_id("acc"), name=name, tier=tier, created=self._now())
        with self._database.begin() as connection:
            _insert_account(connection, account)
        return account

    def list_accounts(
        self, *, name: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Account]:
        """All accounts, or the one of this name."""
        query = page(sql.select(_accounts), _accounts.c.created, _accounts.c.id, after, limit)
        if name is not None:
            query = query.where(_accounts.c.name == name)
        with self._database.begin() as connection:
            return [Account(**row._mapping) for row in connection.execute(query)]

    def account(self, account_id: str) -> Account | None:
        with self._database.begin() as connection:
            row = connection.execute(sql.select(_accounts).where(_accounts.c.id == account_id)).first()
        return None if row is None else Account(**row._mapping)

    def change_account(
        self, account_id: str, *, tier: str | None = None, suspended: bool | None = None
    ) -> Account | None:
        """Change what is given; None if there is no such account."""
        changes: dict[str, Any] = {} if tier is None else {"tier": tier}
        if suspended is not None:
            # Who is suspended again stays so since the first time.
            since = sql.func.coalesce(_accounts.c.suspended, self._now())
            changes["suspended"] = since if suspended else None
        with self._database.begin() as connection:
            if changes:
                connection.execute(_accounts.update().where(_accounts.c.id == account_id).values(**changes))
            row = connection.execute(sql.select(_accounts).where(_accounts.c.id == account_id)).first()
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
    ) -> NewKey:
        """A new key for this account. Raises InvalidName."""
        _check_name(name)
        key = NewKey(
            id=_new_id("key"),
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
            _insert_key(connection, key)
        return key

    def list_keys(
        self, *, account: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Key]:
        """All keys ever made, or those of one account."""
        query = page(_listed, _keys.c.created, _keys.c.id, after, limit)
        if account is not None:
            query = query.where(_keys.c.account == account)
        with self._database.begin() as connection:
            return [_key(row) for row in connection.execute(query)]

    def key(self, key_id: str) -> Key | None:
        with self._database.begin() as connection:
            row = connection.execute(_listed.where(_keys.c.id == key_id)).first()
        return None if row is None else _key(row)

    def change_key(self, key_id: str, changes: dict[str, Any]) -> Key | None:
        """Change some of `name`, `models`, `tiers`, `limits` and `expires`; None if there is no such key.

        Raises InvalidName.
        """
        if "name" in changes:
            _check_name(changes["name"])
        if isinstance(limits := changes.get("limits"), Limits):
            changes = changes | {"limits": _limits_json(limits)}
        if changes:
            with self._database.begin() as connection:
                connection.execute(_keys.update().where(_keys.c.id == key_id).values(**changes))
        return self.key(key_id)

    def revoke_key(self, key_id: str) -> Key | None:
        """Make a key invalid, for good; None if there is no such key."""
        valid = (_keys.c.id == key_id) & _keys.c.revoked.is_(None)
        with self._database.begin() as connection:
            connection.execute(_keys.update().where(valid).values(revoked=self._now()))
        return self.key(key_id)

    def find(self, secret: str) -> Holder | None:
        """Whose key this is; None if it is unknown, revoked or has expired."""
        digest = _digest(secret)
        wanted = (_keys.c.hash == digest) & _keys.c.revoked.is_(None)
        query = sql.select(_keys, _accounts.c.tier, _accounts.c.suspended).join(_accounts).where(wanted)
        with self._database.begin() as connection:
            row = connection.execute(query).first()
        # An index compares as far as two hashes are alike, which is no secret; what decides takes the same time.
        if row is None or not hmac.compare_digest(row.hash, digest):
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
                connection.execute(_keys.update().where(_keys.c.id.in_(key_ids)).values(last_used=self._now()))

    # Admins

    def make_admin(self, tier: str, keep: Callable[[str], None]) -> bool:
        """If no admin's key is valid, make one, once for all processes; its account, if new, is of this tier.

        `keep` is handed the secret before the key becomes valid; if it raises, there is no key.
        """
        if self._has_admin():
            return False
        with self._database.alone() as connection:
            if connection.execute(self._admins()).first():
                # Another process was faster.
                return False
            secret = new_secret()
            keep(secret)
            self._insert_admin(connection, tier, secret, "made at the first start")
        return True

    def adopt_admin(self, tier: str, secret: str) -> None:
        """Have this be an admin's key. Raises SetupError if it cannot be."""
        if not secret.startswith(PREFIX) or len(secret) < len(PREFIX) + SHORTEST or not secret.isascii():
            raise SetupError(
                f"CROFAI_ADMIN_KEY should be {PREFIX} and at least {SHORTEST} random letters and digits"
            )
        known = sql.select(_keys).where(_keys.c.hash == _digest(secret))
        with self._database.begin() as connection:
            row = connection.execute(known).first()
        if row is None:
            with self._database.alone() as connection:
                row = connection.execute(known).first()
                if row is None:
                    self._insert_admin(connection, tier, secret, "CROFAI_ADMIN_KEY")
        if row is not None and (row.revoked is not None or not row.admin):
            raise SetupError(f"CROFAI_ADMIN_KEY is {'no admin' if row.revoked is None else 'a revoked'} key")

    def _has_admin(self) -> bool:
        with self._database.begin() as connection:
            return connection.execute(self._admins()).first() is not None

    def _admins(self) -> sql.Select[Any]:
        """An admin's key that is valid."""
        valid = _keys.c.revoked.is_(None) & sql.or_(_keys.c.expires.is_(None), _keys.c.expires > self._now())
        return sql.select(_keys.c.id).where(_keys.c.admin & valid).limit(1)

    def _insert_admin(self, connection: sql.Connection, tier: str, secret: str, name: str) -> None:
        account = connection.execute(sql.select(_accounts.c.id).where(_accounts.c.name == ADMIN)).scalar()
        if account is None:
            account = _new_id("acc")
            _insert_account(connection, Account(id=account, name=ADMIN, tier=tier, created=self._now()))
        row = {"id": _new_id("key"), "account": account, "name": name, "created": self._now(), "admin": True}
        connection.execute(_keys.insert().values(**row, hash=_digest(secret)))


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


_metadata = sql.MetaData()
_accounts = sql.Table(
    "accounts",
    _metadata,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False, unique=True),
    sql.Column("tier", sql.String, nullable=False),
    sql.Column("created", sql.Double, nullable=False),
    sql.Column("suspended", sql.Double),
)
_keys = sql.Table(
    "keys",
    _metadata,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("account", sql.ForeignKey("accounts.id"), nullable=False),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("hash", sql.String(64), nullable=False, unique=True),
    sql.Column("admin", sql.Boolean, nullable=False),
    sql.Column("models", sql.JSON(none_as_null=True)),
    sql.Column("tiers", sql.JSON(none_as_null=True)),
    sql.Column("limits", sql.JSON(none_as_null=True)),
    sql.Column("created", sql.Double, nullable=False),
    sql.Column("expires", sql.Double),
    sql.Column("last_used", sql.Double),
    sql.Column("revoked", sql.Double),
)
_columns = [column for column in _keys.columns if column.name != "hash"]
_listed: sql.Select[Any] = sql.select(*_columns, _accounts.c.name.label("account_name"), _accounts.c.tier).join(
    _accounts
)


def _key(row: sql.Row[Any]) -> Key:
    limits = None if row.limits is None else Limits(**row.limits)
    return Key(**dict(row._mapping) | {"limits": limits})


def _insert_account(connection: sql.Connection, account: Account) -> None:
    row = {field.name: getattr(account, field.name) for field in fields(Account)}
    try:
        connection.execute(_accounts.insert().values(**row))
    except IntegrityError:
        raise NameTaken(f"there is an account '{account.name}' already", param="name") from None


def _insert_key(connection: sql.Connection, key: NewKey) -> None:
    row = {column.name: getattr(key, column.name) for column in _columns if column.name != "limits"}
    limits = None if key.limits is None else _limits_json(key.limits)
    connection.execute(_keys.insert().values(**row, limits=limits, hash=_digest(key.secret)))


def _limits_json(limits: Limits) -> dict[str, int]:
    return limits.model_dump(exclude_none=True)


def _check_name(name: str) -> None:
    """Names are shown in lists: a line of them has to stay one."""
    if not name.strip() or not name.isprintable() or len(name) > MOST_NAME:
        got = f"{len(name)} of them" if len(name) > MOST_NAME else repr(name)
        raise InvalidName(f"a name should be 1 to {MOST_NAME} printable characters, got {got}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:16]}"
