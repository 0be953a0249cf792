"""The path of a request, as docs/architecture.md has it, is what the modules on it say of themselves."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import ROOT

ROW = re.compile(r"^\| (\d) \w[\w ]* \| (.+?) \|")
HOPS = re.compile(r"(between )?hops? (\d)(?:(?: and |, )(\d)| to (\d))?", re.IGNORECASE)


def path() -> Iterator[tuple[int, str]]:
    """Hops, and the files and folders that they are in; a name without a folder is in that of the one before."""
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        if row := ROW.match(line):
            folder = Path()
            for name in re.findall(r"`(\S+)`", row[2]):
                folder = Path(name).parent if "/" in name else folder
                yield int(row[1]), str(folder / Path(name).name)


def told(module: Path) -> set[int]:
    """The hops that a module's docstring names."""
    source = module / "__init__.py" if module.is_dir() else module
    hops: set[int] = set()
    for between, first, other, last in HOPS.findall(ast.get_docstring(ast.parse(source.read_text())) or ""):
        end = last or (other if between else first)
        hops |= {int(other or first), *range(int(first), int(end) + 1)}
    return hops


def test_the_path_has_eight_hops() -> None:
    assert sorted({hop for hop, _ in path()}) == list(range(1, 9))


@pytest.mark.parametrize(("hop", "name"), list(path()))
def test_a_module_on_the_path_names_its_hop(hop: int, name: str) -> None:
    assert hop in told(ROOT / name)
