"""Trials of what form an answer is to have, before the engine compiles it. Hop 5.

An engine compiles grammars in its own process, where nothing ends one that takes minutes, and tells nobody why one
cannot be compiled. So each new one is compiled here first, by a process that may use so much time and no more.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import os
import signal
import sys
from collections import OrderedDict
from hashlib import sha256
from typing import Any

log = logging.getLogger(__name__)

MOST_SECONDS = 5
"""Of a processor's time, for one form."""

MOST_AT_ONCE = 4
MOST_KNOWN = 1024  # forms that need no second trial

TOO_LONG = (
    f"takes more than {MOST_SECONDS} s to compile; make it simpler: fewer optional parts, and fewer different "
    "minLength, maxLength and repetitions such as {1,500}"
)


class Trials:
    """Tries forms in a process of its own, which is started with an xgrammar TokenizerInfo, as JSON."""

    def __init__(self, vocabulary: str) -> None:
        self._vocabulary = vocabulary
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    async def start(self) -> None:
        """Start the process; it is ready some seconds later, and trials wait for it."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "workers.engines.grammar_trial",
            str(MOST_SECONDS),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        self._send(base64.b64encode(self._vocabulary.encode()))

    async def complaint(self, kind: str, form: str) -> str:
        """What is wrong with a form of this kind; nothing if it can be compiled, or if nobody can tell."""
        name = sha256(f"{kind} {form}".encode(errors="surrogatepass")).digest()
        if name not in self._known:
            self._known[name] = await asyncio.shield(asyncio.ensure_future(self._try(kind, form)))
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(name)
        return self._known[name]

    async def close(self) -> None:
        """End the process. Trials that wait end without a complaint."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it, and its copies
        await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _try(self, kind: str, form: str) -> str:
        # A trial whose client leaves keeps its place until it ends: there are never more at once.
        async with self._places:
            if self._reader is None or self._reader.done():
                return ""
            number = next(self._numbers)
            self._waiting[number] = asyncio.get_running_loop().create_future()
            self._send(json.dumps([number, kind, form]).encode())
            return await self._waiting[number]

    def _send(self, line: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            number, complaint = json.loads(line)
            self._answer(number, TOO_LONG if complaint is None else complaint)
        log.info("the process that tries grammars has ended")
        for number in list(self._waiting):
            self._answer(number, "")

    def _answer(self, number: int, complaint: str) -> None:
        waiting = self._waiting.pop(number)
        if not waiting.done():
            waiting.set_result(complaint)


def trials_of(llm: Any) -> Trials | None:
    """Trials for this vLLM engine; None if it does not compile grammars with xgrammar."""
    import xgrammar
    from vllm.utils.mistral import is_mistral_tokenizer

    config, tokenizer = llm.vllm_config, llm.get_tokenizer()
    if config.structured_outputs_config.backend not in ("auto", "xgrammar"):
        return None
    if tokenizer is None or is_mistral_tokenizer(tokenizer):  # of which vLLM makes a vocabulary in its own way
        return None
    size = config.model_config.get_vocab_size()
    return Trials(xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=size).serialize_json())
