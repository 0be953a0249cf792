"""Passwords that the chart made stay as they are at an upgrade: Helm looks them up, in a cluster of our own."""

import base64

import pytest

from tests.apiserver import ApiServer
from tests.chart import FEWEST, one


@pytest.mark.parametrize("name, key", [("demo-crofai-valkey", "password"), ("demo-crofai-admin", "admin-key")])
def test_what_is_there_is_kept(cluster: ApiServer, name: str, key: str) -> None:
    first = one(cluster.rendered(FEWEST, is_upgrade=True), "Secret", name)
    cluster.secrets[name] = first
    assert one(cluster.rendered(FEWEST, is_upgrade=True), "Secret", name)["data"] == first["data"]
    del cluster.secrets[name]
    assert one(cluster.rendered(FEWEST, is_upgrade=True), "Secret", name)["data"] != first["data"]


def test_a_secret_of_ones_own_is_not_made(cluster: ApiServer) -> None:
    own = {"valkey": {"password": {"existingSecret": "mine"}}, "adminKey": {"existingSecret": "mine"}}
    assert not [each for each in cluster.rendered(FEWEST | own, is_upgrade=True) if each["kind"] == "Secret"]
    assert not [path for path in cluster.asked if "secrets" in path]


def test_another_key_of_a_secret_that_is_there_is_made(cluster: ApiServer) -> None:
    data = {"other": base64.b64encode(b"x").decode()}
    cluster.secrets["demo-crofai-admin"] = {"apiVersion": "v1", "kind": "Secret", "data": data}
    made = one(cluster.rendered(FEWEST, is_upgrade=True), "Secret", "demo-crofai-admin")["data"]["admin-key"]
    assert base64.b64decode(made).startswith(b"sk-crof-")
