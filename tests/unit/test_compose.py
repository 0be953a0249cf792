"""The compose project: who runs as whom, and what is kept where."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.catalog import load_catalog
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("crofai-")}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = SERVICES[request.param]
    return found


def test_without_a_profile_nothing_needs_a_gpu() -> None:
    default = {name for name, each in SERVICES.items() if "profiles" not in each}
    assert default == {"secrets", "valkey", "postgres", "gateway", "smollm2-135m", "sdxl-tiny"}
    assert not [name for name in default if "deploy" in SERVICES[name]]
    assert SERVICES["gpu"]["profiles"] == ["gpu"]


def test_services_are_restricted(service: dict[str, Any]) -> None:
    assert service["user"] not in ("root", "0") and service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]


def test_images_are_pinned(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-alpine)?", service["image"])


def test_what_lasts_is_looked_after(service: dict[str, Any]) -> None:
    check = service["healthcheck"]
    assert check.get("disable") if service["restart"] == "no" else check["test"]


def test_passwords_are_in_no_configuration(service: dict[str, Any]) -> None:
    names = set(service.get("environment", {}))
    assert not {"CROFAI_REDIS_URL", "CROFAI_DATABASE_URL", "CROFAI_ADMIN_KEY", "POSTGRES_PASSWORD"} & names


def test_only_the_gateway_is_reached_and_from_here_alone() -> None:
    ports = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert list(ports) == ["gateway"] and all(port.startswith("127.0.0.1:") for port in ports["gateway"])
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_each_builds_the_image_that_it_names() -> None:
    for each in OURS.values():
        file = ROOT / each["build"]["dockerfile"]
        assert file.is_file() and each["image"].split(":")[0] == f"crofai-{file.stem}"


def test_workers_have_the_time_to_drain() -> None:
    drain = Settings.model_fields["drain_timeout"].default
    for name, each in OURS.items():
        if "workers" in each.get("entrypoint", []):
            minutes = int(each["stop_grace_period"].removesuffix("m"))
            assert minutes * 60 > drain + 30, name


def test_models_are_in_the_catalogue() -> None:
    for each in OURS.values():
        if "workers" in each.get("entrypoint", []):
            option, model = each["command"]
            default = re.sub(r"\$\{\w+:-(.*)\}", r"\1", model)
            assert option == "--model" and load_catalog().find(default)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    def made() -> dict[str, str]:
        subprocess.run([sys.executable, ROOT / "docker" / "make-secrets", tmp_path], check=True)
        return {file.name: file.read_text() for file in tmp_path.iterdir()}

    first = made()
    assert set(first) == {"admin-key", "valkey", "postgres"}
    assert re.fullmatch(r"sk-crof-[0-9a-f]{48}", first["admin-key"])
    assert all(stat.S_IMODE(file.stat().st_mode) & 0o222 == 0 for file in tmp_path.iterdir())
    assert made() == first


def test_settings_are_read_from_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docker" / "make-secrets", tmp_path], check=True)
    told = "import os; from shared.settings import load_settings as l; s = l(); print(s.redis_url, s.database_url)"
    command = ["sh", ROOT / "docker" / "with-secrets", sys.executable, "-c", told]
    environment = os.environ | {"SECRETS": str(tmp_path), "PYTHONPATH": str(ROOT)}
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    valkey, postgres = ((tmp_path / name).read_text() for name in ("valkey", "postgres"))
    assert out.split() == [f"redis://:{valkey}@valkey:6379/0", f"postgresql://crofai:{postgres}@postgres/crofai"]
