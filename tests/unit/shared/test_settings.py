"""Settings come from the environment, and a wrong one names its variable."""

from pathlib import Path

import pytest

from shared.errors import SetupError
from shared.settings import Settings, load_settings, misspelt


def test_defaults_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_PORT", "9000")
    monkeypatch.setenv("CROFAI_DATA_DIR", "/somewhere")
    settings = load_settings()
    assert settings.port == 9000
    assert settings.sql_url == "sqlite:////somewhere/crofai.db"


def test_a_given_database_is_used() -> None:
    assert Settings(database_url="postgresql://db/crofai").sql_url == "postgresql://db/crofai"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CROFAI_DATA_DIR", "", ": should be a path, or not be set"),
        ("CROFAI_REDIS_URL", "foo", ": should be the URL of a"),
        ("CROFAI_LOG_LEVEL", "loud", "'DEBUG'"),
        ("CROFAI_PORT", "http", "integer"),
        ("CROFAI_PORT", "70000", "65535"),
        ("CROFAI_LEASE", "0", "greater"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupError) as error:
        load_settings()
    assert str(error.value).startswith(f"{name}='{value}'")
    assert words in str(error.value)


def test_a_misspelt_variable_is_told_from_what_others_set() -> None:
    names = ["CROFAI_PROT", "CROFAI_DATADIR", "CROFAI_PORT", "CROFAI_KEY", "CROFAI_GATEWAY_SERVICE_PORT", "PORT"]
    assert misspelt(names) == {"CROFAI_PROT": "CROFAI_PORT", "CROFAI_DATADIR": "CROFAI_DATA_DIR"}


def test_relative_data_folders_are_resolved() -> None:
    assert str(Path("data").absolute()) in Settings(data_dir=Path("data")).sql_url
