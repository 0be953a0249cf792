"""The process that tries grammars: `python -m workers.engines.grammar_trial SECONDS`. Hop 5.

A line in: `[number, kind, form]`. A line out: `[number, complaint]`, which is empty for a form that compiles, and
null for one that took more than so many seconds of a processor's time. The first line has the vocabulary, an
xgrammar TokenizerInfo as JSON, in base64. Each trial runs in a copy of this process: so the system can end it.
"""

import base64
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

import xgrammar

LONGEST = 500  # characters of a complaint, so that its line is written at once
POLITENESS = 10  # the engine comes first

IMPOSSIBLE = "no answer can have this form: it has no beginning"

PLACE = re.compile(r"^\[[0-9:]+\] \S+:[0-9]+: ")
"""Where in the compiler's own source a complaint comes from."""


def main() -> None:
    seconds = int(sys.argv[1])
    vocabulary = xgrammar.TokenizerInfo.deserialize_json(base64.b64decode(sys.stdin.buffer.readline()).decode())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the copies
    for line in sys.stdin.buffer:
        number, kind, form = json.loads(line)
        if not os.fork():
            _watch(number, kind, form, vocabulary, seconds)


def _watch(number: int, kind: str, form: str, vocabulary: Any, seconds: int) -> None:
    """Try a form in one more copy, and tell if that one is ended. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not (trial := os.fork()):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.nice(POLITENESS)
        _tell(number, _complaint(kind, form, vocabulary))
        os._exit(0)
    _, status = os.waitpid(trial, 0)
    if status:
        _tell(number, None)
    os._exit(0)


def _complaint(kind: str, form: str, vocabulary: Any) -> str:
    compiler = xgrammar.GrammarCompiler(vocabulary, max_threads=1, cache_enabled=False)
    compilers: dict[str, Callable[..., Any]] = {
        "json": compiler.compile_json_schema,
        "regex": compiler.compile_regex,
        "grammar": compiler.compile_grammar,
        "lark": compiler.compile_lark,
        "structural_tag": compiler.compile_structural_tag,
    }
    tokens = xgrammar.allocate_token_bitmask(1, vocabulary.vocab_size)
    try:
        xgrammar.GrammarMatcher(compilers[kind](form)).fill_next_token_bitmask(tokens)
    except Exception as error:
        return PLACE.sub("", str(error)).strip()[:LONGEST] or "cannot be compiled"
    return "" if tokens.any() else IMPOSSIBLE


def _tell(number: int, complaint: str | None) -> None:
    os.write(1, json.dumps([number, complaint]).encode() + b"\n")


if __name__ == "__main__":
    main()
