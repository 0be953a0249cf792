"""Who may reach whom."""

from tests.chart import FEWEST, MANY_MODELS, Chart, Object, example, of_kind, pods


def chosen(policy: Object, pod: Object) -> bool:
    wanted = policy["spec"]["podSelector"].get("matchLabels", {})
    labels = pod["metadata"]["labels"]
    return all(labels.get(name) == value for name, value in wanted.items())


def named(objects: list[Object], component: str) -> Object:
    [policy] = [
        each
        for each in of_kind(objects, "NetworkPolicy")
        if each["metadata"]["name"] == f"demo-crofai-{component}"
    ]
    return policy["spec"]


def test_all_pods_are_covered_both_ways(objects: list[Object]) -> None:
    policies = of_kind(objects, "NetworkPolicy")
    assert list(pods(objects))
    for pod in pods(objects):
        types = [each["spec"]["policyTypes"] for each in policies if chosen(each, pod)]
        # The one that refuses all, and the pod's own.
        assert types == [["Ingress", "Egress"]] * 2, pod["metadata"]


def test_by_default_nothing_may(objects: list[Object]) -> None:
    spec = named(objects, "default-deny")
    assert "ingress" not in spec and "egress" not in spec


def test_workers_take_no_connections_but_for_metrics(objects: list[Object]) -> None:
    rules = named(objects, "worker")["ingress"]
    assert [rule["ports"] for rule in rules] == [[{"port": 9090}]]
    assert all(rule["from"] for rule in rules)


def test_workers_reach_redis_names_and_the_hub_alone(objects: list[Object]) -> None:
    ports = {port["port"] for rule in named(objects, "worker")["egress"] for port in rule["ports"]}
    # The last is a collector's, of traces, in the example that has one.
    assert ports <= {53, 443, 6379, 6380, 4318}


def test_the_hub_is_no_private_network(chart: Chart) -> None:
    [hub] = [r for r in named(chart.objects(FEWEST), "worker")["egress"] if r["ports"] == [{"port": 443}]]
    [peer] = hub["to"]
    assert {"10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16"} <= set(peer["ipBlock"]["except"])


def test_offline_workers_reach_no_hub(chart: Chart) -> None:
    rules = named(chart.objects(FEWEST | {"huggingFace": {"offline": True}}), "worker")["egress"]
    assert {"port": 443} not in [port for rule in rules for port in rule["ports"]]


def test_only_gateways_workers_and_keda_reach_valkey(chart: Chart) -> None:
    [rule] = named(chart.objects(example(MANY_MODELS)), "valkey")["ingress"]
    components = [p["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for p in rule["from"][:2]]
    assert components == ["gateway", "worker"]
    assert [set(peer) for peer in rule["from"]] == [{"podSelector"}, {"podSelector"}, {"namespaceSelector"}]


def test_helms_own_test_reaches_the_gateways_beside_others(chart: Chart) -> None:
    peers = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    values = {"models": {"llama3": {}}, "networkPolicy": {"gatewayFrom": peers}}
    objects = chart.objects(FEWEST | values)
    [*others, test] = named(objects, "gateway")["ingress"][0]["from"]
    assert others == peers
    found = [pod for pod in pods(objects) if chosen({"spec": test}, pod)]
    assert [pod["metadata"]["name"] for pod in found] == ["demo-crofai-test"]


def test_they_can_be_left_out(chart: Chart) -> None:
    assert not of_kind(chart.objects(FEWEST | {"networkPolicy": {"enabled": False}}), "NetworkPolicy")
