"""The database: its tables' revisions, on SQLite and on PostgreSQL, and what is said when it cannot be used."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from typer.testing import CliRunner

from gateway.cli.main import app
from shared import account_tables, ledger, migrations
from shared.accounts import Accounts
from shared.errors import SetupError
from shared.sql import REVISION, Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


BEFORE = """
CREATE TABLE accounts (id VARCHAR NOT NULL, name VARCHAR NOT NULL, created DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (id), UNIQUE (name));
CREATE TABLE keys (id VARCHAR NOT NULL, account VARCHAR NOT NULL, name VARCHAR NOT NULL, hash VARCHAR(64) NOT NULL,
    tier VARCHAR NOT NULL, created DOUBLE PRECISION NOT NULL, last_used DOUBLE PRECISION, revoked DOUBLE PRECISION,
    PRIMARY KEY (id), FOREIGN KEY(account) REFERENCES accounts (id), UNIQUE (hash));
INSERT INTO accounts VALUES ('acc_f', 'free', 1), ('acc_p', 'premium', 2);
INSERT INTO accounts VALUES ('acc_b', 'both', 3), ('acc_g', 'gone', 4);
INSERT INTO keys VALUES ('key_f', 'acc_f', 'free', 'h1', 'free', 1, 5, NULL);
INSERT INTO keys VALUES ('key_p', 'acc_p', 'premium', 'h2', 'premium', 2, NULL, NULL);
INSERT INTO keys VALUES ('key_bf', 'acc_b', 'both', 'h3', 'free', 3, NULL, NULL);
INSERT INTO keys VALUES ('key_bp', 'acc_b', 'both', 'h4', 'premium', 4, NULL, NULL);
INSERT INTO keys VALUES ('key_gf', 'acc_g', 'gone', 'h5', 'free', 5, NULL, NULL);
INSERT INTO keys VALUES ('key_gp', 'acc_g', 'gone', 'h6', 'premium', 6, NULL, 7)
"""
"""What the tables were before they had revisions."""


def test_tables_that_had_no_revision_are_adopted(database: Database) -> None:
    with database.begin() as connection:
        for statement in BEFORE.split(";"):
            connection.exec_driver_sql(statement)
    ours = Accounts(database)
    ours.migrate()
    assert {account.id: account.tier for account in ours.list_accounts()} == {
        "acc_f": "free",
        "acc_p": "premium",
        "acc_b": "premium",
        "acc_g": "free",
    }
    keys = {key.id: key for key in ours.list_keys()}
    assert {key.id: key.tiers for key in keys.values() if key.tiers} == {"key_bf": ["free"]}
    assert (keys["key_f"].last_used, keys["key_gp"].revoked) == (5, 7)
    assert not any(key.admin or key.expires or key.models or key.limits for key in keys.values())


def test_the_tables_are_what_the_code_takes_them_for(database: Database) -> None:
    database.migrate()
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        for metadata in (account_tables.METADATA, ledger._metadata):
            kinds = ("add_column", "add_table", "modify_type", "modify_nullable")
            found = [each for each in compare_metadata(context, metadata) if str(each[0]) in kinds]
            assert found == []


def test_the_newest_revision_is_what_the_code_takes_the_tables_for() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == REVISION


def test_many_who_start_at_once_agree(database_url: str) -> None:
    def work(_: int) -> str:
        ours = Accounts(database_url)
        ours.migrate()
        account = ours.create_key("ann", "free").account
        ours.close()
        return account

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(work, range(8)))) == 1


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    database.migrate()
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SetupError, match=r"9999.*Was it made by a newer version\?"):
        database.migrate()


def test_a_command_brings_tables_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'crofai.db'}"
    monkeypatch.setenv("CROFAI_DATABASE_URL", url)
    for _ in range(2):
        result = CliRunner().invoke(app, ["database", "migrate"])
        assert (result.exit_code, result.stderr) == (0, "the tables are up to date\n")
    assert Accounts(url).list_accounts() == []


def test_migrating_what_is_up_to_date_waits_for_nobody(database: Database, database_url: str) -> None:
    database.migrate()
    writer = Database(database_url)
    with writer.alone():
        begun = time.monotonic()
        database.migrate()
        assert time.monotonic() - begun < 1
    writer.close()


def test_who_is_not_alone_in_time_is_told_in_a_line(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.sql.BUSY", 0.1)
    monkeypatch.setattr("shared.sql.UPGRADE", 1)
    first, second = Database(database_url), Database(database_url)
    with first.alone(), pytest.raises(SetupError, match=r"locked|timeout"), second.alone():
        pass
    with second.alone():
        pass
    first.close()
    second.close()


def test_an_upgrade_that_fails_leaves_nothing_behind(database: Database) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE usage (job INTEGER)")
    with pytest.raises(SetupError, match="usage"):
        database.migrate()
    with database.begin() as connection:
        assert sql.inspect(connection).get_table_names() == ["usage"]


@pytest.mark.parametrize("prefix", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_the_url_is_taken(postgres_url: str, prefix: str) -> None:
    database = Database(f"{prefix}:{postgres_url.partition(':')[2]}")
    with database.begin() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "10s"
    database.close()


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2")
        begun = time.monotonic()
        with pytest.raises(SetupError, match="timeout"), database.begin():
            pass
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not a database URL"),
        ("oracle+nope://u:secret@h/d", "should be of SQLite or PostgreSQL"),
        ("mysql+pymysql://u:secret@h/d", "should be of SQLite or PostgreSQL"),
        ("postgresql+asyncpg2://u:secret@127.0.0.1/d", "not a database URL"),
        ("postgresql://u:secret@127.0.0.1:1/d", "refused"),
        ("postgresql://u@127.0.0.1:1/d?password=secret", "refused"),
        ("postgresql://u:secret@127.0.0.1:1/d?sslmode=verify", "invalid sslmode"),
        ("postgresql://u:p@secret:secret@h:secret/d", "not a database URL"),
        ("sqlite:////proc/none/crofai.db", "CROFAI_DATA_DIR"),
        ("sqlite:////proc/crofai.db", "it is in CROFAI_DATA_DIR, unless CROFAI_DATABASE_URL names another"),
    ],
)
def test_a_bad_url_is_said_in_one_line(url: str, words: str) -> None:
    with pytest.raises(SetupError) as caught:
        Database(url).migrate()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_revisions_are_found_from_any_folder(tmp_path: Path) -> None:
    script = f"from shared.sql import Database; Database('sqlite:///{tmp_path}/%d.db').migrate()"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
