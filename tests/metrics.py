"""What processes tell of themselves, read as Prometheus does."""

import requests
from prometheus_client.parser import text_string_to_metric_families

Scrape = dict[str, dict[frozenset[tuple[str, str]], float]]
"""Values by the name of the sample, and its labels."""


def scrape(url: str) -> Scrape:
    """All of /metrics at this address."""
    response = requests.get(f"{url}/metrics", timeout=10)
    response.raise_for_status()
    found: Scrape = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def value(found: Scrape, name: str, **labels: str) -> float:
    """Of the samples that have these labels, the sum; 0 if there is none."""
    wanted = set(labels.items())
    return sum(each for given, each in found.get(name, {}).items() if wanted <= given)
