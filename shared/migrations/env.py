"""How Alembic runs the revisions: in the transaction of its caller's connection."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
