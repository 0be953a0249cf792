"""docker-compose.yml is what the Compose specification describes."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCHEMA = Path(__file__).with_name("node_modules") / "dclint" / "schemas" / "compose.schema.json"


@pytest.fixture(scope="module")
def validator() -> Any:
    if not SCHEMA.is_file():
        pytest.fail("the schemas are not installed: make clients")
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def test_it_is_taken(validator: Any, compose: dict[str, Any]) -> None:
    assert [f"{list(each.absolute_path)}: {each.message}" for each in validator.iter_errors(compose)] == []


@pytest.mark.parametrize("field, value", [("health_check", {}), ("user", 10001), ("ports", "8000")])
def test_what_is_wrong_would_be_seen(validator: Any, compose: dict[str, Any], field: str, value: Any) -> None:
    wrong = copy.deepcopy(compose)
    wrong["services"]["gateway"][field] = value
    assert list(validator.iter_errors(wrong))
