"""The pages, taken apart: their files, their elements, and the examples that they print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from gateway.site import WEB, html

HTML = html("/")
CSS = (WEB / "style.css").read_text("utf-8")
JS = (WEB / "app.js").read_text("utf-8")

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


ROOT = Tree(HTML).root


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


def examples(**values: str) -> dict[tuple[str, str], str]:
    """The printed examples by section and language, with the placeholders filled in as the page's script does."""
    sections = {node.attrs["id"]: node for node in ROOT.all("section") if "id" in node.attrs}
    return {
        (name, figure.attrs["data-lang"]): filled(next(figure.all("code")).text, values)
        for name, section in sections.items()
        for figure in section.all("figure")
        if "data-lang" in figure.attrs
    }


def filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text
