"""The tier becomes the account's; keys get scopes, expiry and limits; the usage ledger."""

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("accounts", sql.Column("tier", sql.String, nullable=False, server_default="free"))
    op.add_column("accounts", sql.Column("suspended", sql.Double))
    for name in ("models", "tiers", "limits"):
        op.add_column("keys", sql.Column(name, sql.JSON))
    op.add_column("keys", sql.Column("expires", sql.Double))
    op.add_column("keys", sql.Column("admin", sql.Boolean, nullable=False, server_default=sql.false()))
    _move_tiers()
    op.drop_column("keys", "tier")
    op.create_index("ix_keys_account", "keys", ["account"])
    _create_usage()


def _move_tiers() -> None:
    """An account has the best tier of its valid keys; its free keys stay free ones."""
    op.execute(
        "UPDATE accounts SET tier = 'premium' WHERE EXISTS (SELECT 1 FROM keys"
        " WHERE keys.account = accounts.id AND keys.tier = 'premium' AND keys.revoked IS NULL)"
    )
    op.execute(
        """UPDATE keys SET tiers = '["free"]' WHERE tier = 'free' AND EXISTS (SELECT 1 FROM accounts"""
        " WHERE keys.account = accounts.id AND accounts.tier = 'premium')"
    )


def _create_usage() -> None:
    counts = ("prompt_tokens", "completion_tokens", "image_steps", "images", "units")
    op.create_table(
        "usage",
        sql.Column("job", sql.String, primary_key=True),
        *(
            sql.Column(name, sql.String, nullable=False)
            for name in ("account", "key", "model", "tier", "kind", "state")
        ),
        *(sql.Column(name, sql.BigInteger, nullable=False) for name in counts),
        sql.Column("created", sql.Double, nullable=False),
        sql.Column("begun", sql.Double),
        sql.Column("first", sql.Double),
        sql.Column("ended", sql.Double, nullable=False),
    )
    op.create_index("ix_usage_account_created", "usage", ["account", "created"])
    op.create_index("ix_usage_model_created", "usage", ["model", "created"])
    op.create_index("ix_usage_created", "usage", ["created"])
