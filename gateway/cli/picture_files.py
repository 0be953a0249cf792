"""Where files go that a user has asked for: nothing that is there is written over, unless that is wanted."""

import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from gateway.cli.failures import CommandFailed

LONGEST = 40  # characters of a name made of words


@dataclass(frozen=True)
class Files:
    """Where the images of one request go: `path`, or, if they are several, that with a number each."""

    path: Path
    force: bool = False

    @classmethod
    def named_after(cls, prompt: str) -> "Files":
        """In this folder, by the prompt's words, where there is no file yet."""
        words = re.sub(r"\W+", "-", prompt.lower())[:LONGEST].strip("-_") or "image"
        names = (f"{words}{'' if number == 1 else f'-{number}'}" for number in count(1))
        return cls(next(path for name in names if not _taken(path := Path(f"{name}.png"))))

    def of(self, number: int, several: bool) -> Path:
        """Of the image of this number, from 1 on."""
        return self.path.with_stem(f"{self.path.stem}-{number}") if several else self.path

    def check(self, images: int) -> None:
        """Raises CommandFailed if they could not be written, as far as can be told beforehand."""
        folder = self.path.parent
        if not folder.is_dir():
            raise CommandFailed(f"{folder}: is no folder; make it first")
        for number in range(1, images + 1):
            path = self.of(number, images > 1)
            if path.is_dir() or (not self.force and path.exists()):
                raise _there(path, "" if path.is_dir() else ", or --force")


def write(path: Path, data: bytes, *, force: bool) -> None:
    """Raises CommandFailed, also if there is a file and it is not to be written over."""
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise _there(path) from None
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


def _taken(path: Path) -> bool:
    return path.exists() or any(path.parent.glob(f"{path.stem}-1.png"))


def _there(path: Path, other_way: str = "") -> CommandFailed:
    return CommandFailed(f"{path}: is there already; give another name{other_way}")
