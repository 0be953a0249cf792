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
    first = make_secrets(tmp_path)
    assert set(first) == {"gateway/admin-key", "queue/valkey", "gateway/postgres"}
    assert re.fullmatch(r"sk-crof-[0-9a-f]{48}", first["gateway/admin-key"])
    assert all(stat.S_IMODE(file.stat().st_mode) & 0o222 == 0 for file in tmp_path.glob("*/*"))
    assert make_secrets(tmp_path) == first


def make_secrets(folder: Path) -> dict[str, str]:
    folders = [folder / "gateway", folder / "queue"]
    for each in folders:
        each.mkdir(exist_ok=True)
    subprocess.run([sys.executable, ROOT / "docker" / "make-secrets", *folders], check=True)
    return {str(file.relative_to(folder)): file.read_text() for file in folder.glob("*/*")}


@pytest.mark.parametrize("folders", [[], ["."], [".", "missing"], ["missing", "."], [".", ".", "."]])
def test_secrets_need_both_folders(tmp_path: Path, folders: list[str]) -> None:
    command = [sys.executable, ROOT / "docker" / "make-secrets", *folders]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: make-secrets FOLDER QUEUE, two folders that are there\n"
    assert not list(tmp_path.iterdir())


def test_workers_are_given_the_queues_password_alone() -> None:
    for name, each in OURS.items():
        mounted = {volume.split(":")[1] for volume in each["volumes"]}
        is_worker = "workers" in each.get("entrypoint", [])
        assert ("/run/crofai" in mounted, "/run/crofai-queue" in mounted) == (not is_worker, True), name


def settings_read(folder: Path, gateway: bool) -> list[str]:
    told = "from shared.settings import load_settings as l; s = l(); "
    told += "print(s.redis_url, s.database_url, s.admin_key.get_secret_value())"
    command = ["sh", ROOT / "docker" / "with-secrets", sys.executable, "-c", told]
    environment = os.environ | {
        "SECRETS": str(folder / ("gateway" if gateway else "nothing")),
        "QUEUE_SECRETS": str(folder / "queue"),
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_settings_are_read_from_them(tmp_path: Path) -> None:
    made = make_secrets(tmp_path)
    redis = f"redis://:{made['queue/valkey']}@valkey:6379/0"
    database = f"postgresql://crofai:{made['gateway/postgres']}@postgres/crofai"
    assert settings_read(tmp_path, gateway=True) == [redis, database, made["gateway/admin-key"]]
    assert settings_read(tmp_path, gateway=False) == [redis]
