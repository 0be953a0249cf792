"""Images made of words, and kept in files."""

import base64
import binascii
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.cli.failures import CommandFailed
from gateway.cli.following import follow
from gateway.cli.jobstream import JobStream
from gateway.cli.picture_files import Files, write
from gateway.cli.teller import Teller, telling
from gateway.cli.units import seconds

PATH = "/v1/images/generations"
COMPLETED = "image_generation.completed"
PROGRESS = "image_generation.progress"
COMMAND = "crofai image --out FILE --resume"


@dataclass(frozen=True)
class Request:
    """What is asked for, and where it goes. `options` are the API's; None is left out."""

    model: str
    prompt: str
    files: Files
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> int:
        return int(self.options.get("n") or 1)

    @property
    def body(self) -> dict[str, Any]:
        given = {name: value for name, value in self.options.items() if value is not None}
        return {"model": self.model, "prompt": self.prompt, **given, "stream": True}


def make(client: httpx.Client, teller: Teller, request: Request) -> None:
    """Have images made and write them. Raises CommandFailed, and Stopped."""
    with telling(teller):
        request.files.check(request.images)
    _follow(JobStream(client, PATH, request.body, is_last=_is_image), teller, request.files)


def resume(client: httpx.Client, teller: Teller, job: str, files: Files) -> None:
    """Write the images of a job that was begun earlier."""
    with telling(teller):
        files.check(1)
    _follow(JobStream(client, job=job, is_last=_is_image), teller, files)


def _follow(stream: JobStream, teller: Teller, files: Files) -> None:
    gallery = Gallery(teller)
    follow(stream, teller, gallery, COMMAND)
    with telling(teller):
        paths = gallery.keep(files)
    teller.done(gallery.figures, job=stream.job, paths=paths, **gallery.facts())


class Gallery:
    """The images that have come of one request."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._from = time.monotonic()
        self._images: list[dict[str, Any]] = []

    def take(self, data: dict[str, Any]) -> None:
        if data.get("type") == PROGRESS:
            self._teller.step(int(data.get("step") or 0), int(data.get("steps") or 0))
        elif data.get("type") == COMPLETED:
            self._images.append(data)
        else:
            raise CommandFailed("this is no image. If it is the job of a chat: crofai chat --resume JOB")

    def broke(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        used = [image.get("usage") or {} for image in self._images]
        return {"usage": {"image_steps": sum(each.get("image_steps") or 0 for each in used)} if used else None}

    @property
    def figures(self) -> str:
        count = len(self._images)
        return f"({count} image{'' if count == 1 else 's'} after {seconds(time.monotonic() - self._from)})"

    def keep(self, files: Files) -> list[str]:
        """Write them; the paths. Raises CommandFailed."""
        paths = []
        for number, image in enumerate(self._images, 1):
            path = files.of(number, len(self._images) > 1)
            write(path, _png(image), force=files.force)
            self._teller.picture(str(path), seed=image.get("seed"), size=image.get("size"))
            paths.append(str(path))
        return paths


def _is_image(data: dict[str, Any]) -> bool:
    return data.get("type") == COMPLETED


def _png(image: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(image["b64_json"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise CommandFailed("the server has sent an image that is none") from None
