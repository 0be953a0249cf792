"""`make parity`: exit status 0 if this system differs from vLLM's server in what is documented alone, 1 if not."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from shared.catalog import load_catalog
from tests.cluster import ROOT, Cluster, cluster
from tests.parity.replies import Server
from tests.parity.requests import MODEL, MODELS
from tests.parity.run import Report, compare
from tests.parity.server import vllm_server
from tests.parity.table import table

PATIENCE = 300.0  # seconds for a worker to start, beside another engine


def main() -> int:
    parser = argparse.ArgumentParser(prog="make parity", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where weights are; default: data")
    folder = Path(tempfile.mkdtemp(prefix="crofai-parity-"))
    report = run(folder, parser.parse_args().data)
    print(*table(report), sep="\n")
    if not report.same:
        print(f"logs: {folder}", file=sys.stderr)
    return 0 if report.same else 1


def run(folder: Path, data: Path) -> Report:
    """Start this system and vLLM's server, both with weights from the data folder, and compare them."""
    (data / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to((data / "models").resolve())
    with cluster(folder, MODELS) as running:
        running.start_gateway()
        running.start_worker(MODEL, None, timeout=PATIENCE)
        return against(running)


def against(running: Cluster) -> Report:
    """Compare a cluster, which has a worker, with a vLLM server that is started for it."""
    start = time.monotonic()
    model = load_catalog(running.settings.models_file).find(MODEL)
    ours = Server("ours", running.url, {"Authorization": f"Bearer {running.key()}"})
    with vllm_server(model, running.folder, running.folder / "vllm.log") as theirs:
        print(f"vLLM's server was up after {time.monotonic() - start:.0f} s", file=sys.stderr)
        return compare(ours, theirs)


if __name__ == "__main__":
    sys.exit(main())
