"""Values that are wrong are refused, with their path."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart import FEWEST, Chart, Object

KEDA = {"keda": {"enabled": True}}
HPA = {"hpa": {"enabled": True}}


def scaled(least: int = 1, most: int = 2, **more: Any) -> Object:
    return {"models": {"llama3": {"autoscaling": {"min": least, "max": most}} | more}}


def hours(begin: int, end: int, least: int = 2, **more: Any) -> Object:
    entry = {"days": [1], "from": begin, "to": end, "min": least} | more
    return {"models": {"llama3": {"autoscaling": {"min": 1, "max": 2, "schedule": [entry]}}}}


CACHE = "models.llama3.cache.persistentVolumeClaim.accessMode"


def cached(mode: str = "", **more: Any) -> Object:
    claim = {"size": "50Gi"} | ({"accessMode": mode} if mode else {})
    return {"models": {"llama3": {"cache": {"persistentVolumeClaim": claim}} | more}}


@pytest.mark.parametrize(
    "values, path",
    [
        ({"replicas": 2}, "at '': additional properties 'replicas'"),
        ({"gateway": {"replcas": 2}}, "at '/gateway': additional properties 'replcas'"),
        ({"gateway": {"service": {"prot": 1}}}, "at '/gateway/service': additional properties 'prot'"),
        ({"valkey": {"password": {"value": "x"}}}, "at '/valkey/password': additional properties 'value'"),
        ({"settings": {"drain": 5}}, "at '/settings': additional properties 'drain'"),
        ({"settings": {"redis_url": "x"}}, "at '/settings': additional properties 'redis_url'"),
        ({"models": {"llama3": {"gpu": 1}}}, "at '/models/llama3': additional properties 'gpu'"),
        (
            {"models": {"llama3": {"tolerations": [{"kee": "a"}]}}},
            "at '/models/llama3/tolerations/0': additional properties 'kee'",
        ),
        (
            {"workers": {"affinity": {"nodeAffinity": {"required": {}}}}},
            "at '/workers/affinity/nodeAffinity': additional properties 'required'",
        ),
        (
            {"gateway": {"extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "kee": "b"}}}]}},
            "at '/gateway/extraEnv/0/valueFrom/secretKeyRef'",
        ),
        ({"metrics": {"rules": {"lag": 1}}}, "at '/metrics/rules': additional properties 'lag'"),
        ({"gateway": {"replicas": "two"}}, "at '/gateway/replicas': got string, want integer"),
        ({"gateway": {"replicas": 0}}, "at '/gateway/replicas': minimum"),
        ({"gateway": {"pdb": {"maxUnavailable": 0}}}, "at '/gateway/pdb/maxUnavailable': minimum"),
        ({"gateway": {"pdb": {"maxUnavailable": "0%"}}}, "at '/gateway/pdb/maxUnavailable'"),
        ({"settings": {"lease": "20"}}, "at '/settings/lease': got string, want number"),
        ({"models": {"llama3": {"gpus": -1}}}, "at '/models/llama3/gpus': minimum"),
        ({"models": {"a/b": {}}}, "at '/models': additional properties 'a/b'"),
        ({"models": ["llama3"]}, "at '/models': got array, want object"),
        ({"keda": {"enabled": "yes"}}, "at '/keda/enabled': got string, want boolean"),
        ({"redis": {"address": "redis://host:6379"}}, "at '/redis/address'"),
        (
            {"models": {"llama3": {"cache": {"hostPath": {"path": "x"}}}}},
            "at '/models/llama3/cache/hostPath/path'",
        ),
        ({"models": {"llama3": {"cache": {"persistentVolumeClaim": {}}}}}, "/cache/persistentVolumeClaim'"),
        ({"models": {"llama3": {"autoscaling": {"min": 1}}}}, "missing property 'max'"),
        ({"valkey": {"persistence": {"size": "20"}}}, "at '/valkey/persistence/size': '20' does not match"),
        ({"valkey": {"persistence": {"size": 20}}}, "at '/valkey/persistence/size': got number, want string"),
        ({"database": {"sqlite": {"size": "5"}}}, "at '/database/sqlite/size'"),
        ({"workers": {"sharedMemory": "8"}}, "at '/workers/sharedMemory'"),
        ({"workers": {"cache": {"emptyDir": {"sizeLimit": "50K"}}}}, "at '/workers/cache/emptyDir/sizeLimit'"),
        (
            {"models": {"llama3": {"cache": {"persistentVolumeClaim": {"size": "50"}}}}},
            "at '/models/llama3/cache/persistentVolumeClaim/size'",
        ),
        ({"metrics": {"rules": {"refused": 5}}}, "at '/metrics/rules/refused': maximum: got 5, want 1"),
        ({"metrics": {"rules": {"disabled": ["CrofaiNope"]}}}, "at '/metrics/rules/disabled/0': value must be"),
        (hours(8, 25), "at '/models/llama3/autoscaling/schedule/0/to': maximum"),
        (hours(8, 20, days=[]), "at '/models/llama3/autoscaling/schedule/0/days': minItems"),
        (hours(8, 20, days=["Monday"]), "at '/models/llama3/autoscaling/schedule/0/days/0'"),
        (hours(8, 20, hours=2), "at '/models/llama3/autoscaling/schedule/0': additional properties 'hours'"),
    ],
)
def test_what_the_schema_refuses(chart: Chart, values: Object, path: str) -> None:
    assert path in chart.refusal(values)


@pytest.mark.parametrize(
    "values, told",
    [
        ({"models": {"llama9": {}}}, "models.llama9: is no id of the catalogue"),
        ({"models": {"llama3": {}}, "catalogue": {"file": "models: {llama3: null}"}}, "models.llama3: is no id"),
        ({"catalogue": {"file": "models: ["}}, "catalogue.file: is no YAML"),
        ({"models": {"x": {}}, "catalogue": {"existingConfigMap": "x"}}, "models.x.engine: is missing"),
        ({"models": {"llama3.3-70b": {"gpus": 4}}}, "models.llama3.3-70b.gpus: should be 2"),
        ({"catalogue": {"file": "models: {}", "existingConfigMap": "x"}}, "catalogue.file, catalogue.existingC"),
        ({"database": {}}, "database.existingSecret: is missing"),
        (
            {"database": {"existingSecret": "x", "sqlite": {"enabled": True}}},
            "database.existingSecret, database.sql",
        ),
        ({"database": {"sqlite": {"enabled": True}}}, "database.sqlite.enabled: takes one gateway"),
        ({"valkey": {"enabled": False}}, "redis.existingSecret: is missing"),
        ({"redis": {"existingSecret": "x"}}, "redis.existingSecret: another server needs valkey.enabled: false"),
        ({"ingress": {"enabled": True}}, "ingress.host: is missing"),
        ({"gateway": {"autoscaling": {"enabled": True, "min": 5, "max": 2}}}, "gateway.autoscaling.min"),
        (KEDA | HPA | scaled(), "keda.enabled, hpa.enabled: two autoscalers"),
        (KEDA, "keda.enabled: no model has autoscaling"),
        (HPA | {"models": {"llama3": {}}}, "hpa.enabled: no model has autoscaling"),
        (scaled(), "models.llama3.autoscaling: needs keda.enabled or hpa.enabled"),
        (KEDA | scaled(3, 2), "models.llama3.autoscaling.min: should be at most max"),
        (HPA | scaled(0), "models.llama3.autoscaling.min: should be at least 1"),
        (HPA | hours(8, 20), "models.llama3.autoscaling.schedule: needs keda"),
        (KEDA | hours(20, 8), "models.llama3.autoscaling.schedule[0].from: should be less than to"),
        (KEDA | hours(8, 20, 3), "models.llama3.autoscaling.schedule[0].min: should be at most max"),
        (cached(replicas=2), f"{CACHE}: should be ReadWriteMany, as there may be 2"),
        (cached(surge=1), f"{CACHE}: should be ReadWriteMany, as there may be 2"),
        (cached("ReadWriteOncePod", replicas=3, surge=1), f"{CACHE}: should be ReadWriteMany, as there may be 4"),
        (KEDA | cached(autoscaling={"min": 0, "max": 5}), f"{CACHE}: should be ReadWriteMany, as there may be 5"),
        ({"migration": {"wait": 300}}, "migration.wait: should be less than deadline"),
        (KEDA | scaled(replicas=1), "models.llama3.replicas, models.llama3.autoscaling: give one"),
        ({"nameOverride": "Bad_Name"}, "nameOverride: should be small letters, digits and -"),
        ({"fullnameOverride": "Bad_Name"}, "fullnameOverride: should be small letters, digits and -"),
        ({"fullnameOverride": "1st"}, "fullnameOverride: should be small letters, digits and -, a letter first"),
        ({"fullnameOverride": "a-"}, "fullnameOverride: should be small letters"),
        ({"ingress": {"enabled": True, "host": "https://a.b/"}}, "ingress.host: should be a host's name alone"),
        ({"ingress": {"enabled": True, "host": "a.b:443"}}, "ingress.host: should be a host's name alone"),
        ({"image": {"registry": "https://r"}}, "image.registry: should be what stands before an image's name"),
        ({"image": {"registry": "r//"}}, "image.registry: should be what stands before an image's name"),
        (
            {"models": {"llama3": {}, "sdxl": {}}, "test": {"model": "llama9"}},
            "test.model: should be one of models (llama3, sdxl), got llama9",
        ),
        (
            {"settings": {"hold": 1000, "job_timeout": 600}},
            "settings.hold: should be less than settings.job_timeout, which is 600, got 1000",
        ),
        ({"settings": {"hold": 600}}, "settings.hold: should be less than settings.job_timeout, which is 600"),
        ({"settings": {"hold": 2000000, "job_timeout": 1000000}}, "which is 1000000, got 2000000: raise that"),
        ({"settings": {"job_timeout": 30}}, "settings.job_timeout, which is 30, got 60"),
        ({"valkey": {"maxMemory": "7gb"}}, "valkey.maxMemory: should be less than valkey.resources.limits.memory"),
        ({"valkey": {"maxMemory": "6gb"}}, "limits.memory, which is 6Gi, got 6gb"),
        ({"catalogue": {"file": "models: [a]"}}, "catalogue.file: should be a map with the one key 'models'"),
        ({"catalogue": {"file": "llama3: {}"}}, "catalogue.file: should be a map with the one key 'models'"),
        ({"catalogue": {"file": "[a]"}}, "catalogue.file: is no YAML, or no map"),
        ({"catalogue": {"file": "models: {llama3: 5}"}}, "catalogue.file: llama3: should be a map of fields"),
        ({"tiers": {"file": "tiers: ["}}, "tiers.file: is no YAML"),
        ({"tiers": {"file": "free: {}"}}, "tiers.file: should be a map with the one key 'tiers'"),
        ({"tiers": {"file": "tiers: [free]"}}, "tiers.file: should be a map with the one key 'tiers'"),
        (
            KEDA | scaled() | {"valkey": {"enabled": False}, "redis": {"existingSecret": "x"}},
            "redis.address: is missing: KEDA reads no URL",
        ),
    ],
)
def test_what_does_not_go_together(chart: Chart, values: Object, told: str) -> None:
    assert told in chart.refusal(values)


@pytest.mark.parametrize(
    "values",
    [
        cached(),
        cached("ReadWriteMany", replicas=3, surge=1),
        KEDA | cached(autoscaling={"min": 0, "max": 1}),
        {"models": {"llama3": {"cache": {"persistentVolumeClaim": {"claimName": "mine"}}, "replicas": 3}}},
        {"gateway": {"pdb": {"maxUnavailable": "10%"}}},
        {"nameOverride": "", "fullnameOverride": "my-own-2", "ingress": {"host": ""}},
        {"ingress": {"enabled": True, "host": "llm-1.api.example"}},
        {"ingress": {"enabled": True, "host": "*.example"}},
        {"image": {"registry": "registry.example:5000/team/"}},
        {"settings": {"hold": 0, "job_timeout": 30}},
        {"valkey": {"maxMemory": "6g"}},
        {"valkey": {"maxMemory": "7gb", "resources": {"limits": {"memory": None}}}},
        {"valkey": {"maxMemory": "7gb", "enabled": False}, "redis": {"existingSecret": "x"}},
        {"models": {"llama3": {}}, "test": {"model": "llama3"}},
        {"catalogue": {"file": "# nothing yet"}, "tiers": {"file": "tiers:"}},
        {"tiers": {"file": "tiers: {premium: null, free: {reserved: 0.2}}"}},
    ],
)
def test_what_goes_together_is_taken(chart: Chart, values: Object) -> None:
    assert chart.texts(FEWEST | values)


def test_settings_without_any_are_those_of_the_chart(chart: Chart) -> None:
    secrets = {"valkey": {"password": {"existingSecret": "a"}}, "adminKey": {"existingSecret": "b"}}
    values = FEWEST | secrets | {"models": {"llama3": {}}, "ingress": {"enabled": True, "host": "api.example"}}
    assert chart.texts(values | {"settings": None}) == chart.texts(values)


def test_the_schema_is_closed_at_every_depth(chart: Chart) -> None:
    open_ones = sorted(path for path, part in _objects(chart.schema, "") if not _closed(part))
    # Helm's own; nothing of the chart reads it.
    assert open_ones == ["/properties/global"]


def _closed(part: Object) -> bool:
    """Maps whose keys are anybody's, such as labels, say what their values are."""
    return part.get("additionalProperties", True) is not True


def _objects(part: Any, path: str) -> Iterator[tuple[str, Object]]:
    if isinstance(part, list):
        for number, each in enumerate(part):
            yield from _objects(each, f"{path}/{number}")
    elif isinstance(part, dict):
        if part.get("type") == "object":
            yield path, part
        for name, each in part.items():
            yield from _objects(each, f"{path}/{name}")


def test_every_default_is_in_the_schema(chart: Chart) -> None:
    """A value that the templates read, but nobody may set, would be a dead one."""
    known = set(chart.schema["properties"])
    assert set(chart.values) == known - {"global"}
