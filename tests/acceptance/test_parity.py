"""Nothing tells this system from vLLM's own server but what is documented. `make parity` prints the same."""

import pytest

from tests.cluster import Cluster
from tests.parity.__main__ import against
from tests.parity.table import table

# vLLM's server takes a minute to start, beside the engines.
pytestmark = [pytest.mark.acceptance, pytest.mark.engine, pytest.mark.timeout(900)]


def test_every_reply_is_that_of_vllms_own_server(real: Cluster) -> None:
    report = against(real)
    lines = "\n".join(table(report))
    print(lines)
    assert report.same, lines
