"""The SQL database of accounts and of the usage ledger: SQLite by default, PostgreSQL by another URL."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError

from shared.errors import InvalidRequest, RowRefused, SetupError

BUSY = 5.0  # seconds to wait for another process that writes to the database
CONNECT = 5  # seconds for PostgreSQL to take a connection
STATEMENT = 10  # seconds for one statement of PostgreSQL's
UPGRADE = 600  # the same, while the tables are brought up to date, or another process does that
SILENCE = 15  # seconds after which a PostgreSQL that says nothing at all is given up

REVISION = "0002"  # of the tables, as the code takes them for
UPGRADE_LOCK = 0x63726F66  # PostgreSQL's advisory locks are numbers; this one says "crof"


class Database:
    """One database. Several processes may use it; SetupError says that it cannot be used."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        # Its options may hold a password, too.
        self._name = self._engine.url.set(query={}).render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[sql.Connection]:
        """A transaction, committed at the end."""
        with self._plain_errors(), self._engine.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables up to date. Safe in several processes at once."""
        with self._plain_errors():
            with self._engine.connect() as connection:
                if _revision(connection) == REVISION:
                    return
            # Alembic takes 12 MB, which most starts have no need of.
            from shared import migrations

            with self.alone() as connection:
                migrations.upgrade(connection)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._engine.dispose()

    @contextmanager
    def alone(self) -> Iterator[sql.Connection]:
        """A transaction that waits for those of other processes, and makes them wait."""
        with self._writing() as connection:
            if not self.is_sqlite:
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{UPGRADE}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
            yield connection

    @contextmanager
    def holding(self, row: sql.Select[Any]) -> Iterator[sql.Connection]:
        """A transaction that waits for others that hold the same row, and makes them wait; on SQLite, for and of
        all that write."""
        with self._writing() as connection:
            connection.execute(row.with_for_update())
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sql.Connection]:
        with self._plain_errors(), self._locked() if self.is_sqlite else self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _locked(self) -> Iterator[sql.Connection]:
        """SQLite's only writer. By itself Python's driver begins no transaction for what changes tables."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            kind = RowRefused if isinstance(error, DataError | IntegrityError) else SetupError
            raise kind(f"the database {self._name} cannot be used: {cause}. {self._advice}") from error

    @property
    def _advice(self) -> str:
        if self.is_sqlite:
            return "Check that file: it is in CROFAI_DATA_DIR, unless CROFAI_DATABASE_URL names another."
        return "Check CROFAI_DATABASE_URL."


class Tables:
    """What keeps its tables in a database, or in that of a URL."""

    def __init__(self, database: Database | str) -> None:
        self._database = Database(database) if isinstance(database, str) else database

    def migrate(self) -> None:
        """Bring the tables up to date. Safe in several processes at once."""
        self._database.migrate()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._database.close()


def page(
    connection: sql.Connection,
    query: sql.Select[Any],
    created: sql.Column[Any],
    name: sql.Column[Any],
    after: str | None,
    limit: int | None,
    *,
    within: Sequence[sql.ColumnElement[bool]] = (),
    newest_first: bool = False,
) -> Sequence[sql.Row[Any]]:
    """What a query finds `within` these bounds, by when it was `created`, from the one on that follows the one
    whose `name` is `after`. Raises InvalidRequest if the query, without bounds, does not find that."""
    place = sql.tuple_(created, name)
    bounds = list(within)
    if after is not None:
        if connection.execute(query.with_only_columns(name).where(name == after)).first() is None:
            raise InvalidRequest(
                f"after: should be the last_id of a page of this list, got {after[:80]!r}", param="after"
            )
        last = sql.select(created, name).where(name == after).scalar_subquery()
        bounds.append(place < last if newest_first else place > last)
    order = [column.desc() if newest_first else column.asc() for column in (created, name)]
    return connection.execute(query.where(*bounds).order_by(*order).limit(limit)).all()


def _revision(connection: sql.Connection) -> str | None:
    """What the tables are at; None if they have no revision."""
    if not sql.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sql.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _engine(url: str) -> sql.Engine:
    try:
        parsed = sql.make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "postgresql":
            return sql.create_engine(
                parsed, pool_pre_ping=True, pool_timeout=CONNECT, connect_args=_postgresql_args(parsed)
            )
        if parsed.get_backend_name() != "sqlite":
            raise SetupError("CROFAI_DATABASE_URL should be of SQLite or PostgreSQL")
        # A connection costs 0.3 ms, and belongs to one thread.
        engine = sql.create_engine(parsed, poolclass=sql.NullPool, connect_args={"timeout": BUSY})
        if parsed.database not in (None, "", ":memory:"):
            Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (ArgumentError, ValueError):
        # Neither is the text repeated nor what was wrong in it: both may hold a password.
        raise SetupError(
            "CROFAI_DATABASE_URL is not a database URL, such as sqlite:////var/lib/crofai.db"
        ) from None
    except ImportError as error:
        raise SetupError(f"CROFAI_DATABASE_URL needs a Python driver: {error}. Install it with pip.") from None
    except OSError as error:
        raise SetupError(f"the database's folder cannot be made: {error}. Check CROFAI_DATA_DIR.") from None
    sql.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _postgresql_args(url: sql.URL) -> dict[str, Any]:
    """What bounds every wait for PostgreSQL, unless the URL says something else."""
    ours = {
        "connect_timeout": CONNECT,
        "options": f"-c statement_timeout={STATEMENT}s",
        "keepalives_idle": SILENCE // 3,
        "keepalives_interval": SILENCE // 3,
        "keepalives_count": 2,
        "tcp_user_timeout": SILENCE * 1000,
        "application_name": "crofai",
    }
    return {name: value for name, value in ours.items() if name not in url.query}


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
