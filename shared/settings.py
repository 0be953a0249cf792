"""All settings: one object, read once from CROFAI_* variables at start, handed to what needs it."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SetupError


class Settings(BaseSettings):
    """Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="CROFAI_", extra="ignore", allow_inf_nan=False)

    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False, description="Redis or Valkey server.")
    database_url: str = Field("", repr=False, description="SQL database; default: SQLite in the data folder.")
    data_dir: Path = Field(Path("data"), description="Folder of everything kept on this machine.")
    models_file: Path | None = Field(None, description="Operator's catalogue, merged over shared/models.yaml.")
    tiers_file: Path | None = Field(None, description="Operator's tiers, merged over shared/tiers.yaml.")

    host: str = Field("127.0.0.1", min_length=1, description="Address the gateway listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the gateway listens on; 0 picks a free one.")
    admin_key: SecretStr = Field(SecretStr(""), description="An admin's key to adopt; default: one is made.")
    trusted_proxies: int = Field(0, ge=0, description="Proxies in front, whose X-Forwarded-For and -Proto count.")
    most_wrong_keys: int = Field(20, gt=0, description="In a minute, of one client's address.")
    max_body_bytes: int = Field(1_000_000, gt=0, description="Largest request body taken.")
    queue_bound: int = Field(1_000, gt=0, description="Most jobs of one tier that may wait for one model.")
    hold: float = Field(60, ge=0, description="How long jobs wait for a model that has no ready worker.")
    hold_unserved: bool = Field(True, description="Whether they do if none is loading either.")
    job_timeout: float = Field(600, gt=0, description="From admission to the end of a job.")
    inbox_bytes: int = Field(32_768, gt=0, description="Held for one slow reader before it reads the log.")
    outage_timeout: float = Field(60, gt=0, description="How long a stream waits for an unreachable Redis.")
    ping_interval: float = Field(25, gt=0, description="Between Socket.IO pings.")
    ping_timeout: float = Field(120, gt=0, description="A ping's answer may wait behind data this long.")
    cors_origins: str = Field("*", description="Comma-separated origins that browsers may call from.")

    lease: float = Field(20, ge=2, description="A worker that is silent this long loses its jobs.")
    max_attempts: int = Field(2, gt=0, description="How often a job is started before it fails.")
    log_ttl: int = Field(600, gt=0, description="How long a job's log is kept after its end.")
    drain_timeout: float = Field(120, gt=0, description="How long a worker finishes its jobs after SIGTERM.")
    gateway_drain_timeout: float = Field(5, gt=0, description="How long open requests may last after SIGTERM.")
    load_timeout: float = Field(7200, gt=0, description="A worker whose model is not loaded by then ends.")
    stall_timeout: float = Field(300, gt=0, description="A worker whose engine is silent this long ends.")
    report_interval: float = Field(2, gt=0, description="Between a worker's reports.")

    metrics_port: int = Field(0, ge=0, le=65535, description="Port of metrics, and of workers' health; 0: none.")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address of that port.")
    otlp_endpoint: str = Field("", description="An OpenTelemetry collector's HTTP address; default: no traces.")
    canary_interval: float = Field(0, ge=0, description="Between gateways' own requests to a model; 0: none.")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What is worth a line.")
    log_format: Literal["text", "json"] = Field("text", description="Of a line: for people, or for programs.")

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: str) -> str:
        """What is wrong is not repeated: it may hold a password."""
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError("should be the URL of a Redis server, such as redis://127.0.0.1:6379/0")
        try:
            parts = urlsplit(url)
            fit = parts.port != 0 and not parts.fragment
        except ValueError:
            fit = False
        if not fit:
            raise ValueError("is no URL; in a password, write / as %2F, # as %23, ? as %3F, @ as %40")
        for checks in parse_qs(parts.query, keep_blank_values=True).get("ssl_cert_reqs", []):
            # Celery takes what it does not know for "none".
            if checks not in CHECKS:
                raise ValueError(f"ssl_cert_reqs should be one of {', '.join(CHECKS)}")
        return url

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
            raise ValueError("should be an HTTP address, such as http://collector:4318")
        return url

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        """A browser's `Origin` is compared to them letter by letter."""
        for origin in filter(None, (part.strip() for part in text.split(","))):
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+", origin):
                raise ValueError(f"should be * or origins such as https://app.example, not {origin[:80]!r}")
        return text

    @field_validator("data_dir", "models_file", "tiers_file", mode="before")
    @classmethod
    def _is_named(cls, path: object) -> object:
        if path == "":
            raise ValueError("should be a path, or not be set at all")
        return path

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("log_format", mode="before")
    @classmethod
    def _lower(cls, form: object) -> object:
        return form.lower() if isinstance(form, str) else form

    @property
    def origins(self) -> list[str]:
        """Origins that browsers may call from; ["*"] are all."""
        origins = [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]
        return ["*"] if "*" in origins else origins

    @property
    def sql_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'crofai.db'}"


CHECKS = ("required", "optional", "none")
"""Of a Redis server's certificate, in its URL's `ssl_cert_reqs`."""

SECRET = ("CROFAI_REDIS_URL", "CROFAI_DATABASE_URL", "CROFAI_ADMIN_KEY")
"""Variables whose values are, or may hold, passwords: they are in no error and no log."""

OTHERS = ("CROFAI_KEY", "CROFAI_URL")
"""Variables that are no settings of a process, but are read where they are used."""


def misspelt(names: Iterable[str] = os.environ) -> dict[str, str]:
    """Variables that mean nothing, by the setting that each is likely to have been meant for.

    Only what is near to one: an orchestrator may add variables of its own, such as CROFAI_GATEWAY_SERVICE_HOST.
    """
    known = [*(f"CROFAI_{field}".upper() for field in Settings.model_fields), *OTHERS]
    strange = (name for name in names if name.startswith("CROFAI_") and name not in known)
    nearest = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.85) for name in strange}
    return {name: near[0] for name, near in nearest.items() if near}


def load_settings() -> Settings:
    """Settings from the environment. Raises SetupError naming the variable, what it takes, and its value.

    Values that may hold passwords are not told.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"CROFAI_{'_'.join(str(part) for part in first['loc'])}".upper()
        given = os.environ.get(variable, first["input"])
        words = first["msg"].removeprefix("Value error, ")
        said = variable if variable in SECRET else f"{variable}={given!r}"
        raise SetupError(f"{said}: {words[0].lower()}{words[1:]}") from None
