"""Streams, WebSockets and polling from outside."""

from typing import Any

import pytest

from tests.chart import FEWEST, Chart, Object, one, variables

HOST = {"enabled": True, "host": "api.example"}


def ingress(chart: Chart, **values: Any) -> Object:
    return one(chart.objects(FEWEST | {"ingress": HOST} | values), "Ingress", "demo-crofai")


def nginx(found: Object) -> dict[str, str]:
    prefix = "nginx.ingress.kubernetes.io/"
    return {name.removeprefix(prefix): text for name, text in found["metadata"]["annotations"].items()}


def test_streams_are_not_held_back_nor_cut_off(chart: Chart) -> None:
    said = nginx(ingress(chart))
    assert said["proxy-buffering"] == "off" and said["proxy-http-version"] == "1.1"
    assert int(said["proxy-read-timeout"]) >= 3600 and int(said["proxy-send-timeout"]) >= 3600


def test_who_polls_comes_back_to_the_same_gateway(chart: Chart) -> None:
    assert nginx(ingress(chart))["affinity"] == "cookie"
    spec = service(chart)
    assert spec["sessionAffinity"] == "ClientIP"
    # Longer than it is silent, and no longer than new gateways should be without clients.
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 600}}


def service(chart: Chart, **values: Any) -> Object:
    spec: Object = one(chart.objects(FEWEST | values), "Service", "demo-crofai-gateway")["spec"]
    return spec


AFFINITY = "nginx.ingress.kubernetes.io/affinity"


@pytest.mark.parametrize(
    "given, affinity",
    [
        ({"ingress": HOST}, "None"),
        ({"ingress": HOST | {"nginx": False}}, "ClientIP"),
        ({"ingress": HOST | {"nginx": False, "annotations": {AFFINITY: "cookie"}}}, "None"),
        ({"ingress": HOST | {"annotations": {AFFINITY: "none"}}}, "ClientIP"),
        ({"ingress": HOST, "gateway": {"service": {"sessionAffinity": "ClientIP"}}}, "ClientIP"),
        ({"gateway": {"service": {"sessionAffinity": "None"}}}, "None"),
    ],
)
def test_an_ingress_that_keeps_clients_by_cookies_is_no_client(chart: Chart, given: Object, affinity: str) -> None:
    spec = service(chart, **given)
    assert spec["sessionAffinity"] == affinity
    assert ("sessionAffinityConfig" in spec) == (affinity == "ClientIP")


def test_bodies_may_be_as_large_as_the_gateway_takes(chart: Chart) -> None:
    assert nginx(ingress(chart, settings={"max_body_bytes": 20_000_000}))["proxy-body-size"] == "20000000"


def test_an_operators_annotation_comes_before_ours(chart: Chart) -> None:
    own = HOST | {"annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "60"}}
    said = nginx(one(chart.objects(FEWEST | {"ingress": own}), "Ingress", "demo-crofai"))
    assert said["proxy-read-timeout"] == "60" and said["proxy-buffering"] == "off"


def test_behind_an_ingress_its_word_on_addresses_counts(chart: Chart) -> None:
    def gateway(**values: Any) -> Object:
        deployment = one(chart.objects(FEWEST | values), "Deployment", "demo-crofai-gateway")
        return variables(deployment["spec"]["template"]["spec"]["containers"][0])

    assert gateway(ingress=HOST)["CROFAI_TRUSTED_PROXIES"] == "1"
    assert "CROFAI_TRUSTED_PROXIES" not in gateway()
    assert "CROFAI_TRUSTED_PROXIES" not in gateway(ingress=HOST, settings={"trusted_proxies": 2})


@pytest.mark.parametrize(
    "values, warned",
    [
        ({"ingress": HOST}, True),
        ({"settings": {"trusted_proxies": 1}}, True),
        ({"ingress": HOST, "networkPolicy": {"enabled": False, "gatewayFrom": [{"podSelector": {}}]}}, True),
        ({"ingress": HOST, "networkPolicy": {"gatewayFrom": [{"podSelector": {}}]}}, False),
        ({"ingress": HOST, "settings": {"trusted_proxies": 0}}, False),
        ({}, False),
    ],
)
def test_notes_warn_where_any_pod_may_name_an_address(chart: Chart, values: Object, warned: bool) -> None:
    notes = chart.texts(FEWEST | values)["crofai/templates/NOTES.txt"]
    assert ("networkPolicy.gatewayFrom" in notes) == warned
