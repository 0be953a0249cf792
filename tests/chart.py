"""The Helm chart as Helm itself renders it, without a cluster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm" / "crofai"
EXAMPLES = sorted((ROOT / "helm" / "examples").glob("*.yaml"))
[MANY_MODELS] = [file for file in EXAMPLES if file.stem == "many-models"]

Object = dict[str, Any]

RELEASE = "demo"
NAMESPACE = "ns"
FEWEST: Object = {"database": {"existingSecret": "db"}}
"""What has to be given."""


class Chart:
    """Our chart, or one at another place, loaded once."""

    def __init__(self, path: Path = CHART) -> None:
        self._chart = helm_python.Chart.load(path)

    @property
    def schema(self) -> Object:
        assert self._chart.schema is not None
        return self._chart.schema

    @property
    def values(self) -> Object:
        return self._chart.values

    def texts(self, values: Object, **options: Any) -> dict[str, str]:
        """What each template becomes. Raises HelmError."""
        return self._chart.render(values, name=RELEASE, namespace=NAMESPACE, **options)

    def objects(self, values: Object, **options: Any) -> list[Object]:
        """All objects, those of hooks too."""
        texts = self.texts(values, **options)
        files = (text for name, text in texts.items() if not name.endswith(".txt"))
        return [each for text in files for each in yaml.safe_load_all(text) if each]

    def refusal(self, values: Object) -> str:
        """Why these values, beside the fewest, are refused."""
        try:
            self.texts(FEWEST | values)
        except helm_python.HelmError as error:
            return str(error)
        raise AssertionError(f"these values are taken: {values}")


def example(file: Path) -> Object:
    values: Object = yaml.safe_load(file.read_text())
    return values


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def one(objects: list[Object], kind: str, name: str) -> Object:
    [found] = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def pods(objects: list[Object]) -> Iterator[Object]:
    """Every pod, or template of pods: a dict of metadata and spec."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each
        elif "template" in each.get("spec", {}):
            yield each["spec"]["template"]


def containers(objects: list[Object]) -> Iterator[Object]:
    for pod in pods(objects):
        yield from pod["spec"].get("initContainers", [])
        yield from pod["spec"]["containers"]


def variables(container: Object) -> Object:
    """Its environment by names: values, or what they come from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}
