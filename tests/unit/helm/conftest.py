"""Each example is rendered once."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.apiserver import ApiServer
from tests.chart import EXAMPLES, Chart, Object, example


@pytest.fixture(scope="session")
def chart() -> Chart:
    return Chart()


@pytest.fixture(scope="session")
def examples(chart: Chart) -> dict[str, list[Object]]:
    return {file.stem: chart.objects(example(file)) for file in EXAMPLES}


@pytest.fixture(params=EXAMPLES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def objects(examples: dict[str, list[Object]], file: Path) -> list[Object]:
    """An example's."""
    return examples[file.stem]


@pytest.fixture
def cluster() -> Iterator[ApiServer]:
    with ApiServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
