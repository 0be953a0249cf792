"""Accounts and keys."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sql.Column("id", sql.String, primary_key=True),
        sql.Column("name", sql.String, nullable=False, unique=True),
        sql.Column("created", sql.Double, nullable=False),
    )
    op.create_table(
        "keys",
        sql.Column("id", sql.String, primary_key=True),
        sql.Column("account", sql.String, sql.ForeignKey("accounts.id"), nullable=False),
        sql.Column("name", sql.String, nullable=False),
        sql.Column("hash", sql.String(64), nullable=False, unique=True),
        sql.Column("tier", sql.String, nullable=False),
        sql.Column("created", sql.Double, nullable=False),
        sql.Column("last_used", sql.Double),
        sql.Column("revoked", sql.Double),
    )
