"""What form an answer is to have is tried in a process that has so much time, and no more."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest

from workers.engines.grammar_trial import IMPOSSIBLE
from workers.engines.grammar_trials import MOST_SECONDS, TOO_LONG, Trials
from workers.engines.vllm_forms import check_form

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

ENDLESS = ".?" * 500  # takes xgrammar many minutes


def vocabulary() -> str:
    import xgrammar

    letters = [bytes([code]) for code in range(256)]
    words = [f"{first}{second}{third}".encode() for first in "abcdefg" for second in "hijklmn" for third in "opq"]
    # The compiler takes longer the more words there are.
    return str(xgrammar.TokenizerInfo([*letters, *words], stop_token_ids=[0]).serialize_json())


def tried(ask: Callable[[Trials], Awaitable[Any]]) -> Any:
    """What is answered by trials that are started for it."""

    async def run() -> Any:
        trials = Trials(vocabulary())
        await trials.start()
        try:
            return await ask(trials)
        finally:
            await trials.close()

    return asyncio.run(run())


COMPLAINTS = [
    ("json", '{"type": "string"}', ""),
    ("json", '{"type": "blah"}', 'Unsupported type "blah"'),
    ("json", '{"$ref": "#"}', IMPOSSIBLE),
    ("json", json.dumps({"type": "string", "pattern": r"\p{L}"}), "Regex parsing error at position"),
    ("regex", "a{1,5}", ""),
    ("regex", "(?=a)b", "Lookahead is not supported"),
    ("grammar", 'root ::= "yes" | "no"', ""),
    ("grammar", "root ::= ", "EBNF parser error at line 1, column 10: Expect element"),
    ("grammar", "root ::= root", IMPOSSIBLE),
    ("structural_tag", "{}", "structural tag"),
]


def test_what_cannot_be_compiled_is_told_in_the_compilers_words() -> None:
    async def ask(trials: Trials) -> list[str]:
        return [await trials.complaint(kind, form) for kind, form, _ in COMPLAINTS]

    for complaint, (_, form, words) in zip(tried(ask), COMPLAINTS, strict=True):
        assert words in complaint if words else complaint == "", form
        assert "/project/" not in complaint


def test_what_takes_too_long_is_ended_and_others_do_not_wait_for_it() -> None:
    async def ask(trials: Trials) -> None:
        endless = asyncio.create_task(trials.complaint("regex", ENDLESS))
        await asyncio.sleep(0)  # it is sent
        assert await trials.complaint("json", '{"type": "integer"}') == ""
        assert not endless.done()
        assert await endless == TOO_LONG
        _, left = psutil.wait_procs(psutil.Process().children()[0].children(recursive=True), timeout=5)
        assert not left
        # It is known by now, and tried no more.
        assert await asyncio.wait_for(trials.complaint("regex", ENDLESS), MOST_SECONDS / 2) == TOO_LONG

    tried(ask)


def test_without_the_process_nothing_waits_and_the_engine_decides() -> None:
    async def ask(trials: Trials) -> str:
        endless = asyncio.create_task(trials.complaint("regex", ENDLESS))
        assert await trials.complaint("json", '{"type": "integer"}') == ""
        await trials.close()
        return await endless + await trials.complaint("json", '{"type": "blah"}')

    assert tried(ask) == ""


BAD = {"type": "blah"}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("a", "b")]
WRONG = [TOOLS[0], {"type": "function", "function": {"name": "b", "parameters": BAD}}]


FIELDS = [
    ({"grammar": "root ::= "}, {"structured_outputs": {"grammar": "root ::= "}}, "structured_outputs.grammar"),
    (
        {"json": BAD},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": BAD}}},
        "response_format.json_schema.schema",
    ),
    ({"json": BAD}, {"tools": WRONG}, "tools[1].function.parameters"),
    ({"structural_tag": "{}"}, {"tools": TOOLS}, "tools"),
]


def test_the_field_that_is_wrong_is_named() -> None:
    from vllm.exceptions import VLLMValidationError
    from vllm.sampling_params import StructuredOutputsParams

    async def ask(trials: Trials) -> None:
        await check_form(trials, StructuredOutputsParams(choice=["yes", "no"]), {"tools": WRONG})
        for asked, body, field in FIELDS:
            with pytest.raises(VLLMValidationError) as error:
                await check_form(trials, StructuredOutputsParams(**asked), body)
            assert error.value.parameter == field

    tried(ask)
