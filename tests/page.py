"""The pages, taken apart: their files, their elements, and the examples that the documentation prints."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

from gateway.manual import CHAPTERS
from gateway.site import WEB, Site
from shared.catalog import load_catalog
from shared.settings import Settings
from shared.tiers import load_tiers

CSS = (WEB / "style.css").read_text("utf-8")

SHIPPED = Site(Settings.model_construct(), load_tiers(None, load_catalog().models))
"""The pages of a gateway whose operator has set nothing."""

VOID = {"meta", "link", "input", "br", "img", "hr"}


@dataclass
class Node:
    tag: str
    attrs: dict[str, str]
    children: list["Node"] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def all(self, tag: str | None = None) -> Iterator["Node"]:
        for child in self.children:
            if tag in (None, child.tag):
                yield child
            yield from child.all(tag)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Tree(HTMLParser):
    """Builds the tree, and fails on a tag that is not closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(html)
        self.close()
        assert self._open == [self.root], f"not closed: {self._open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        for node in self._open:
            node.pieces.append(data)


@dataclass
class Page:
    """A page of a gateway as shipped."""

    address: str

    @cached_property
    def html(self) -> str:
        return SHIPPED.html(self.address)

    @cached_property
    def root(self) -> Node:
        return Tree(self.html).root

    @property
    def ids(self) -> list[str]:
        return [node.attrs["id"] for node in self.root.all() if "id" in node.attrs]

    @property
    def links(self) -> list[str]:
        return [node.attrs["href"] for node in self.root.all("a")]

    @property
    def text(self) -> str:
        """With each run of spaces as one."""
        return " ".join(self.root.text.split())

    @property
    def files(self) -> set[Path]:
        """The style sheets and scripts that it loads, with those that these import."""
        links = [link for link in self.root.all("link") if link.attrs["rel"] == "stylesheet"]
        return {WEB / link.attrs["href"].removeprefix("/web/") for link in links} | scripts(self.root).keys()

    def find(self, name: str) -> Node:
        """The element with this id."""
        return next(node for node in self.root.all() if node.attrs.get("id") == name)


def scripts(root: Node) -> dict[Path, str]:
    """A page's scripts, and all that these import, by their paths."""
    found: dict[Path, str] = {}
    named = [WEB / node.attrs["src"].removeprefix("/web/") for node in root.all("script")]
    while named:
        path = named.pop()
        if path not in found:
            found[path] = path.read_text("utf-8")
            imported = re.findall(r'^import .* from "(\./[^"]+|\.\./[^"]+)";$', found[path], re.M)
            named += [(path.parent / name).resolve() for name in imported]
    return found


DOCS = {address: Page(address) for address in ("/", *(chapter.address for chapter in CHAPTERS))}
"""The documentation, by address."""

Place = tuple[str, str, str]
"""Of an example: the page's address, the section's id, the language."""


def examples(**values: str) -> dict[Place, str]:
    """The printed examples, with the placeholders filled in as the pages' script does."""
    return {
        (address, section.attrs["id"], figure.attrs["data-lang"]): filled(next(figure.all("code")).text, values)
        for address, page in DOCS.items()
        for section in page.root.all("section")
        for figure in section.all("figure")
        if "data-lang" in figure.attrs
    }


def filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
