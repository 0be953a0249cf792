"""Settings come from the environment, and a wrong one names its variable."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.errors import SetupError
from shared.settings import SECRET, Settings, load_settings, misspelt


def test_defaults_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_PORT", "9000")
    monkeypatch.setenv("CROFAI_DATA_DIR", "/somewhere")
    settings = load_settings()
    assert settings.port == 9000
    assert settings.sql_url == "sqlite:////somewhere/crofai.db"


def test_words_of_the_log_are_taken_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_LOG_LEVEL", "debug")
    monkeypatch.setenv("CROFAI_LOG_FORMAT", "JSON")
    settings = load_settings()
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")


def test_a_given_database_is_used() -> None:
    assert Settings(database_url="postgresql://db/crofai").sql_url == "postgresql://db/crofai"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CROFAI_DATA_DIR", "", ": should be a path, or not be set"),
        ("CROFAI_CORS_ORIGINS", "https://app.example/", "should be * or origins such as https://app.example"),
        ("CROFAI_CORS_ORIGINS", "https://a.example, app.example", "not 'app.example'"),
        ("CROFAI_LOG_LEVEL", "loud", "'DEBUG'"),
        ("CROFAI_LOG_FORMAT", "xml", "'json'"),
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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CROFAI_REDIS_URL", "hushhush", "should be the URL of a Redis server"),
        ("CROFAI_REDIS_URL", "redis//:hushhush@h/0", "should be the URL of a Redis server"),
        ("CROFAI_REDIS_URL", "redis://:hush/hush@h/0", "write / as %2F"),
        ("CROFAI_REDIS_URL", "redis://:hush#hush@h/0", "write / as %2F"),
        ("CROFAI_REDIS_URL", "rediss://:hush?hush@h/0", "write / as %2F"),
        ("CROFAI_REDIS_URL", "redis://h:6379/0#hush", "is no URL"),
        ("CROFAI_REDIS_URL", "rediss://:hush@h/0?ssl_cert_reqs=hush", "one of required, optional, none"),
        ("CROFAI_REDIS_URL", "rediss://:hush@h/0?ssl_cert_reqs=", "one of required, optional, none"),
    ],
)
def test_a_password_is_not_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupError) as error:
        load_settings()
    assert str(error.value).startswith(f"{name}: ")
    assert words in str(error.value)
    assert "hush" not in str(error.value)


def test_passwords_are_in_no_settings_shown() -> None:
    settings = Settings(
        redis_url="rediss://u:hush@h/0", database_url="postgresql://u:hush@h/d", admin_key=SecretStr("hush")
    )
    assert "hush" not in repr(settings) + str(settings)


def test_all_that_may_hold_a_password_is_known_to() -> None:
    fields = [name for name, field in Settings.model_fields.items() if not field.repr or "Secret" in str(field)]
    assert [f"CROFAI_{name.upper()}" for name in fields] == list(SECRET)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("*", ["*"]),
        ("https://a.example, *", ["*"]),
        ("https://a.example,http://127.0.0.1:3000 ,", ["https://a.example", "http://127.0.0.1:3000"]),
        ("", []),
    ],
)
def test_origins_are_a_list(text: str, origins: list[str]) -> None:
    assert Settings(cors_origins=text).origins == origins


def test_a_misspelt_variable_is_told_from_what_others_set() -> None:
    names = ["CROFAI_PROT", "CROFAI_DATADIR", "CROFAI_PORT", "CROFAI_KEY", "CROFAI_GATEWAY_SERVICE_PORT", "PORT"]
    assert misspelt(names) == {"CROFAI_PROT": "CROFAI_PORT", "CROFAI_DATADIR": "CROFAI_DATA_DIR"}


def test_relative_data_folders_are_resolved() -> None:
    assert str(Path("data").absolute()) in Settings(data_dir=Path("data")).sql_url
