"""Values that are taken away by null, one by one: what needs them says so by their path."""

import copy
from collections.abc import Iterator

from helm_python import HelmError

from tests.chart import MANY_MODELS, Chart, Object, example


def test_a_default_that_is_taken_away_is_missed_by_its_name_or_not_at_all() -> None:
    """In Helm null takes a value away, with all under it."""
    chart, given = Chart(), example(MANY_MODELS)
    for path in _paths(chart.values):
        values = copy.deepcopy(given)
        part = values
        for key in path[:-1]:
            part = part.setdefault(key, {})
        part[path[-1]] = None
        try:
            chart.texts(values)
        except HelmError as error:
            named = f"at '{''.join(f'/{key}' for key in path[:-1])}': missing property '{path[-1]}'"
            assert named in str(error) or "crofai/templates/checks.yaml" in str(error), path


def _paths(values: Object, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))
