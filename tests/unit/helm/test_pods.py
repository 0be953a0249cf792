"""What pods run, as whom, and how they are looked after and left."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.admin_keys import AdminKeys
from shared.catalog import Model, load_catalog
from shared.settings import Settings
from shared.sql import Database
from tests.chart import FEWEST, ROOT, Chart, Object, containers, of_kind, one, pods, variables

OWN = {"redis_url", "database_url", "data_dir", "models_file", "tiers_file", "host", "port", "admin_key"}
OWN |= {"metrics_host", "metrics_port", "load_timeout"}
"""Settings that the chart makes from values of their own."""

PASSWORDS = {"CROFAI_DATABASE_URL", "CROFAI_ADMIN_KEY", "HF_TOKEN", "VALKEYCLI_AUTH", "VALKEY_PASSWORD"}


@pytest.fixture(scope="module")
def models(chart: Chart) -> Any:
    """Renders Deployments of models."""

    def render(models: Object, **values: Any) -> list[Object]:
        return of_kind(chart.objects(FEWEST | {"models": models} | values), "Deployment")[1:]

    return render


def worker(deployment: Object) -> Object:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return container


def test_every_variable_is_a_setting(objects: list[Object]) -> None:
    known = {f"CROFAI_{field.upper()}" for field in Settings.model_fields}
    settings = one(objects, "ConfigMap", "demo-crofai-settings")["data"]
    given = {name for container in containers(objects) for name in variables(container)}
    assert {name for name in [*given, *settings] if name.startswith("CROFAI_")} - known == set()


def test_every_setting_can_be_given(chart: Chart) -> None:
    """But for those that the chart makes; with the types that it takes."""
    properties = chart.schema["properties"]["settings"]["properties"]
    fields = {name: field for name, field in Settings.model_json_schema()["properties"].items() if name not in OWN}
    assert set(properties) == set(fields)
    assert {name: properties[name].get("type") for name in fields} == {n: f.get("type") for n, f in fields.items()}


def test_settings_arrive_as_they_were_given(chart: Chart) -> None:
    given = {
        "max_body_bytes": 20_000_000,
        "lease": 7.5,
        "hold_unserved": False,
        "cors_origins": "https://a.example",
    }
    data = one(chart.objects(FEWEST | {"settings": given}), "ConfigMap", "demo-crofai-settings")["data"]
    read = Settings(**{name.removeprefix("CROFAI_").lower(): value for name, value in data.items()})
    assert {name: getattr(read, name) for name in given} == given


def test_passwords_come_from_secrets(objects: list[Object]) -> None:
    for container in containers(objects):
        for name, value in variables(container).items():
            if name in PASSWORDS:
                assert "secretKeyRef" in value
            elif name == "CROFAI_REDIS_URL" and isinstance(value, str):
                assert value.startswith("redis://:$(VALKEY_PASSWORD)@")


def test_containers_are_restricted(objects: list[Object]) -> None:
    assert list(containers(objects))
    for container in containers(objects):
        security = container["securityContext"]
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_pods_are_restricted(objects: list[Object]) -> None:
    for pod in pods(objects):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)


def test_containers_say_what_they_need(objects: list[Object]) -> None:
    for container in containers(objects):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), container["name"]


def test_what_lasts_is_probed(objects: list[Object]) -> None:
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            for container in each["spec"]["template"]["spec"]["containers"]:
                assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), each["metadata"]


def test_what_is_written_is_a_volume(objects: list[Object]) -> None:
    """The root file system is read-only."""
    for pod in pods(objects):
        named = {volume["name"] for volume in pod["spec"]["volumes"]} | {"data"}
        for container in pod["spec"]["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert "/tmp" in mounts and set(mounts.values()) <= named


def test_a_gateway_is_out_of_the_service_before_it_stops(objects: list[Object]) -> None:
    spec = one(objects, "Deployment", "demo-crofai-gateway")["spec"]["template"]["spec"]
    delay = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert delay >= 5 and spec["terminationGracePeriodSeconds"] >= delay + Settings().job_timeout + 20


@pytest.mark.parametrize("drain", [120, 900, 0.5])
def test_a_worker_has_the_time_to_drain(models: Any, drain: float) -> None:
    from workers.worker import LAST

    [deployment] = models({"llama3": {}}, settings={"drain_timeout": drain})
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drain + LAST + 10


def test_an_engine_that_hangs_is_not_given_that_time(models: Any) -> None:
    [deployment] = models({"llama3": {}})
    probe = worker(deployment)["livenessProbe"]
    assert probe["httpGet"]["path"] == "/live" and probe["terminationGracePeriodSeconds"] <= 30


def test_a_model_has_its_time_to_load(models: Any) -> None:
    [deployment] = models({"llama3.1-405b": {"loadTimeout": 7200}})
    container = worker(deployment)
    probe = container["startupProbe"]
    assert probe["httpGet"]["path"] == "/ready" and probe["periodSeconds"] * probe["failureThreshold"] > 7200
    assert variables(container)["CROFAI_LOAD_TIMEOUT"] == "7200"
    assert deployment["spec"]["progressDeadlineSeconds"] > 7200


def test_models_take_what_the_catalogue_says(models: Any) -> None:
    wanted = {"llama3": (1, "vllm"), "llama3.3-70b": (2, "vllm"), "llama3.1-405b": (8, "vllm")}
    wanted |= {"stable_diffusion": (1, "diffusers"), "smollm2-135m": (0, "cpu"), "sdxl-tiny": (0, "cpu")}
    for deployment in models({name: {} for name in wanted}):
        gpus, image = wanted[deployment["metadata"]["annotations"]["crofai/model"]]
        container = worker(deployment)
        assert int(container["resources"].get("limits", {}).get("nvidia.com/gpu", 0)) == gpus
        assert container["image"] == f"crofai-worker-{image}:0.1.0"


def test_every_model_of_the_catalogue_has_a_name_of_its_own(models: Any) -> None:
    ids = list(load_catalog().models)
    deployments = models({name: {} for name in [*ids, *(f"{name}_" for name in ids[:3])]}, catalogue=ADDED)
    assert len({each["metadata"]["name"] for each in deployments}) == len(ids) + 3
    labels = [json.dumps(each["spec"]["selector"]["matchLabels"]) for each in deployments]
    assert len(set(labels)) == len(ids) + 3


ENTRY = {"description": "", "engine": "vllm", "weights": "w", "context": 9, "max_tokens": 1}
ADDED = {"file": yaml.safe_dump({"models": {f"{name}_": ENTRY for name in list(load_catalog().models)[:3]}})}


def test_several_gpus_share_memory_in_one_pod(models: Any) -> None:
    [deployment] = models({"llama3.1-405b": {"sharedMemory": "32Gi"}})
    pod = deployment["spec"]["template"]["spec"]
    [volume] = [each for each in pod["volumes"] if each["name"] == "shm"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "32Gi"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in worker(deployment)["volumeMounts"]


def test_the_operators_catalogue_counts(models: Any) -> None:
    file = (
        "models: {mine: {engine: vllm, weights: w, tensor_parallel: 4, engine_args: {pipeline_parallel_size: 2}}}"
    )
    [deployment] = models({"mine": {}}, catalogue={"file": file})
    container = worker(deployment)
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    assert variables(container)["CROFAI_MODELS_FILE"] == "/etc/crofai/catalogue/models.yaml"


def test_a_models_own_values_come_before_all_models(models: Any) -> None:
    workers = {"nodeSelector": {"gpu": "a"}, "runtimeClassName": "nvidia", "cache": {"hostPath": {"path": "/m"}}}
    own = {"nodeSelector": {"gpu": "b"}, "cache": {"persistentVolumeClaim": {"claimName": "c"}}}
    first, second = (
        each["spec"]["template"]["spec"] for each in models({"llama3": {}, "qwen0.5": own}, workers=workers)
    )
    assert first["nodeSelector"] == {"gpu": "a"} and second["nodeSelector"] == {"gpu": "b"}
    assert first["runtimeClassName"] == second["runtimeClassName"] == "nvidia"
    caches = [next(each for each in pod["volumes"] if each["name"] == "data") for pod in (first, second)]
    assert "hostPath" in caches[0] and caches[1]["persistentVolumeClaim"] == {"claimName": "c"}


def test_no_workers_can_be_wanted(models: Any) -> None:
    [deployment] = models({"llama3": {"replicas": 0}})
    assert deployment["spec"]["replicas"] == 0


def test_a_simulated_worker_needs_no_engine(models: Any) -> None:
    [deployment] = models({"deepseek-r1": {"engine": "simulated"}})
    container = worker(deployment)
    assert container["args"] == ["--model", "deepseek-r1", "--engine", "simulated"]
    assert container["image"] == "crofai-gateway:0.1.0" and "limits" not in container["resources"]


def test_a_node_can_be_emptied_while_pods_are_not_ready(objects: list[Object]) -> None:
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert budgets
    assert {each["spec"]["unhealthyPodEvictionPolicy"] for each in budgets} == {"AlwaysAllow"}


def test_a_folder_of_the_node_is_not_made(models: Any) -> None:
    """By kubelets, as root's: workers could not write it."""
    [deployment] = models({"llama3": {"cache": {"hostPath": {"path": "/m"}}}})
    [data] = [each for each in deployment["spec"]["template"]["spec"]["volumes"] if each["name"] == "data"]
    assert data["hostPath"] == {"path": "/m", "type": "Directory"}


def test_the_chart_and_the_project_have_one_catalogue(chart: Chart) -> None:
    link = ROOT / "helm" / "crofai" / "files" / "models.yaml"
    assert link.resolve() == ROOT / "shared" / "models.yaml"


def test_generated_secrets_are_fit(chart: Chart, tmp_path: Path) -> None:
    objects = chart.objects(FEWEST)
    database = Database(f"sqlite:///{tmp_path / 'crofai.db'}")
    database.migrate()
    AdminKeys(database).adopt("premium", secret(objects, "demo-crofai-admin", "admin-key"))
    password = secret(objects, "demo-crofai-valkey", "password")
    assert password.isalnum() and len(password) >= 32


def secret(objects: list[Object], name: str, key: str) -> str:
    return base64.b64decode(one(objects, "Secret", name)["data"][key]).decode()


def test_a_catalogue_entry_has_the_fields_that_the_chart_reads() -> None:
    assert {"engine", "gpus", "tensor_parallel", "engine_args"} <= set(Model.model_fields)
