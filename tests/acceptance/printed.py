"""The document's clients, each as it is printed, with a host, a key and a model filled in."""

from pathlib import Path

from tests.acceptance import document
from tests.acceptance.programs import NODE_CLIENTS, Programs, Run


class Printed:
    """The printed clients of one gateway. `patience` is in seconds, for one client."""

    def __init__(self, url: str, key: str, folder: Path, *, patience: float = 60) -> None:
        self._url = url
        self._key = key
        self._programs = Programs(folder, patience=patience, PAGE=url)

    def python_chat(self, model: str) -> Run:
        block = document.fill(document.PYTHON_CHAT, host=self._url, key=self._key, path_model=model)
        return self._programs.python(block)

    def python_image(self) -> Run:
        return self._programs.python(document.fill(document.PYTHON_IMAGE, host=self._url, key=self._key))

    def python_stream(self, model: str) -> Run:
        block = document.PYTHON_STREAM
        filled = document.fill(block, host=self._url, python_token=self._key, model=f'"{model}"')
        return self._programs.python(filled)

    def typescript_chat(self, model: str) -> Run:
        block = document.fill(document.TYPESCRIPT_CHAT, host=self._url, key=self._key, path_model=model)
        return self._programs.typescript(block)

    def javascript_stream(self, model: str) -> Run:
        block = document.fill(document.JAVASCRIPT_STREAM, javascript_token=f'"{self._key}"', model=f'"{model}"')
        return self._programs.javascript(block, "client.cjs", "--require", str(NODE_CLIENTS / "page.cjs"))
