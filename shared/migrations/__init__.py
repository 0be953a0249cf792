"""The tables' revisions, which `shared.sql.Database.migrate` runs. What the tables are now is in the modules that
use them: shared/account_tables.py, shared/ledger.py."""

import logging
import threading
from pathlib import Path

import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from shared.errors import SetupError

log = logging.getLogger(__name__)

ADOPTED = "0001"  # the tables as they were before they had revisions

_alembic = threading.Lock()  # its context is one for the whole process


def upgrade(connection: sql.Connection) -> None:
    """Bring the tables to the newest revision, within the connection's transaction. Raises SetupError."""
    before = MigrationContext.configure(connection).get_current_revision()
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with _alembic:
            if before is None and sql.inspect(connection).has_table("accounts"):
                before = ADOPTED
                command.stamp(config, ADOPTED)
            command.upgrade(config, "head")
    except CommandError as error:
        raise SetupError(f"the database cannot be used: {error}. Was it made by a newer version?") from error
    log.info("the database's tables, at revision %s before, are up to date", before or "none")
