"""The tables of accounts and keys. shared/migrations brings a database to them."""

import uuid

import sqlalchemy as sql

METADATA = sql.MetaData()

ACCOUNTS = sql.Table(
    "accounts",
    METADATA,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False, unique=True),
    sql.Column("tier", sql.String, nullable=False),
    sql.Column("created", sql.Double, nullable=False),
    sql.Column("suspended", sql.Double),
)

KEYS = sql.Table(
    "keys",
    METADATA,
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


def new_id(kind: str) -> str:
    """An id for a row, such as acc_0123456789abcdef."""
    return f"{kind}_{uuid.uuid4().hex[:16]}"
