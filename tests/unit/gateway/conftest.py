"""A gateway in the test's own process, without Redis, for commands and their server's answers."""

from functools import partial
from pathlib import Path

import httpx
import pytest

from gateway.app import Gateway, create_gateway
from gateway.cli import api
from shared.settings import Settings


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands are run on this data folder."""
    monkeypatch.setenv("CROFAI_DATA_DIR", str(tmp_path))
    for name in ("DATABASE_URL", "ADMIN_KEY", "URL", "KEY"):
        monkeypatch.delenv(f"CROFAI_{name}", raising=False)
    return tmp_path


@pytest.fixture
def gateway(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """The gateway that commands find."""
    gateway = create_gateway(Settings(data_dir=data_dir))
    monkeypatch.setattr(api.httpx, "Client", partial(httpx.Client, transport=httpx.WSGITransport(gateway.app)))
    return gateway
