"""The Job that brings the tables up to date, before everything else."""

import json

from tests.chart import FEWEST, Chart, Object, containers, of_kind, one, variables


def test_the_migration_needs_nothing_that_the_chart_makes(objects: list[Object]) -> None:
    """It runs before anything else of a first install is there."""
    jobs = of_kind(objects, "Job")
    database = any("CROFAI_DATABASE_URL" in variables(each) for each in containers(objects))
    assert bool(jobs) == database
    made = {
        each["metadata"]["name"]
        for each in objects
        if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    }
    for job in jobs:
        said = json.dumps(job["spec"]["template"]["spec"])
        assert not [name for name in made if f'"{name}"' in said]


def test_the_migration_ends_before_helm_gives_up(chart: Chart) -> None:
    """After five minutes; its pod, which the Job's own deadline would delete, ends by itself before that."""
    job = one(chart.objects(FEWEST), "Job", "demo-crofai-migrate")["spec"]
    pod = job["template"]["spec"]
    assert "+ 120" in pod["containers"][0]["command"][-1]
    assert 120 < pod["activeDeadlineSeconds"] < job["activeDeadlineSeconds"] < 300
