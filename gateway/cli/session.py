"""A conversation at the terminal: what is typed is sent, what begins with / is a command."""

import difflib
import json
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway.cli import choice, picture_files, pictures, typed
from gateway.cli.conversation import Conversation
from gateway.cli.failures import CommandFailed, Stopped
from gateway.cli.screen import Screen
from gateway.cli.teller import ForPeople
from shared.errors import CrofError

PROMPT = "> "
HELP = r"""
/model [NAME]     ask this model; without a name: which there are
/system [TEXT]    what the model is told beforehand; without a text: nothing
/clear            forget what was said
/save FILE        write the conversation there, as text, or as JSON if it ends with .json
/image PROMPT     make an image, and keep it in this folder
/quit             leave; so does Ctrl-D, or Ctrl-C twice
Ctrl-C stops an answer. A line that ends with \ goes on in the next; so does what begins with three quotation
marks, until three more. Begin with a space to send a line that begins with /.
""".strip()


class Session:
    """Reads what the user types, until that ends it."""

    def __init__(self, client: httpx.Client, conversation: Conversation, screen: Screen) -> None:
        self._client = client
        self._conversation = conversation
        self._screen = screen
        self._over = False
        self._commands: dict[str, Callable[[str], None]] = {
            "model": self._model,
            "system": self._system,
            "clear": self._clear,
            "save": self._save,
            "image": self._image,
            "help": self._help,
            "quit": self._quit,
            "exit": self._quit,
        }

    def run(self) -> None:
        """Raises KeyboardInterrupt if that is how the user leaves."""
        typed.prepare()
        self._screen.note(f"{self._conversation.model} at {self._client.base_url}; /help lists commands")
        interrupted = False
        while not self._over:
            try:
                text = typed.read(PROMPT)
            except EOFError:
                self._screen.say("")
                return
            except KeyboardInterrupt:
                self._screen.say("")
                if interrupted:
                    raise
                interrupted = True
                self._screen.note("(Ctrl-C again, or Ctrl-D, leaves)")
                continue
            interrupted = False
            try:
                self._take(text)
            except Stopped as stopped:
                self._screen.note(f"({stopped})")
            except CrofError as error:
                self._screen.say(f"crofai: {error}")

    def _take(self, text: str) -> None:
        if not text.strip():
            return
        if not text.startswith("/"):
            self._conversation.ask(text.strip())
            return
        name, _, rest = text[1:].partition(" ")
        if name not in self._commands:
            near = difflib.get_close_matches(name, self._commands, n=1)
            hint = f"Did you mean /{near[0]}?" if near else "/help lists what there is."
            raise CommandFailed(f"there is no /{name}. {hint} To send this as it is, begin with a space")
        self._commands[name](rest.strip())

    def _model(self, name: str) -> None:
        found = [model for model in choice.listed(self._client) if model["kind"] == "chat"]
        if not name:
            up = [model["id"] for model in found if model["state"] in choice.WORTH]
            self._tell(f"this is {self._conversation.model}; up: {', '.join(up) or 'none'}")
            return
        self._conversation.model = choice.find(found, name)
        self._tell(f"now {self._conversation.model} answers")

    def _system(self, text: str) -> None:
        self._conversation.system = text or None
        self._tell("the model is told this beforehand" if text else "the model is told nothing beforehand")

    def _clear(self, _: str) -> None:
        self._conversation.turns.clear()
        self._tell("forgotten")

    def _save(self, name: str) -> None:
        if not name:
            raise CommandFailed("/save: needs a file's name, as in: /save talk.md")
        messages = self._conversation.messages
        try:
            path = Path(name).expanduser()
        except RuntimeError:
            raise CommandFailed(f"{name}: there is no user of this name; give another file") from None
        if path.suffix == ".json":
            text = json.dumps(messages, indent=2, ensure_ascii=False) + "\n"
        else:
            text = "\n".join(f"## {message['role']}\n\n{message['content']}\n" for message in messages)
        picture_files.write(path, text.encode(errors="replace"), force=False)
        self._tell(f"written: {path}")

    def _image(self, prompt: str) -> None:
        if not prompt:
            raise CommandFailed("/image: needs words, as in: /image a lighthouse at night")
        model = choice.usual(self._client, "image")
        request = pictures.Request(model, prompt, files=picture_files.Files.named_after(prompt))
        pictures.make(self._client, ForPeople(self._screen), request)

    def _help(self, _: str) -> None:
        self._tell(HELP)

    def _quit(self, _: str) -> None:
        self._over = True

    def _tell(self, text: str) -> None:
        self._screen.say(text)
