"""Whether the engine can compile what form an answer is to have, told in the client's words. Hop 5."""

import json
from collections.abc import Iterator
from typing import Any

from workers.engines.grammar_trials import TOO_LONG, Trials

DEAD_END = "no answer has this form: nothing may follow what was said of it"


async def check_form(trials: Trials, asked: Any, body: dict[str, Any]) -> None:
    """Try vLLM's StructuredOutputsParams of a request with this body. Raises VLLMValidationError."""
    form = _form(asked)
    if form is None or not (complaint := await trials.complaint(*form)):
        return
    if complaint != TOO_LONG:
        # Tools and response formats are compiled as one.
        for field, schema in _schemas(body):
            if own := await trials.complaint("json", json.dumps(schema)):
                raise refused(own, field)
    raise refused(complaint, field_of(body))


def refused(complaint: str, field: str) -> Exception:
    """The error by which vLLM's serving classes tell that a field is the client's mistake."""
    from vllm.exceptions import VLLMValidationError

    error: Exception = VLLMValidationError(complaint, parameter=field)
    return error


def field_of(body: dict[str, Any]) -> str:
    """The field that says what form the answer has."""
    if constraint := body.get("structured_outputs"):
        return f"structured_outputs.{next(iter(constraint))}"
    if _is_schema(body.get("response_format")):
        return "response_format.json_schema.schema"
    return "tools" if body.get("tools") else "response_format"


def _form(asked: Any) -> tuple[str, str] | None:
    """The kind of form, and the form itself; None for one that the engine has by itself."""
    from vllm.v1.structured_output.utils import choice_as_grammar, grammar_is_likely_lark

    if asked.json is not None:
        return "json", asked.json if isinstance(asked.json, str) else json.dumps(asked.json)
    if asked.choice is not None:
        return "grammar", choice_as_grammar(asked.choice)
    if asked.grammar is not None:
        return "lark" if grammar_is_likely_lark(asked.grammar) else "grammar", asked.grammar
    if asked.regex is not None:
        return "regex", asked.regex
    if asked.structural_tag is not None:
        return "structural_tag", asked.structural_tag
    return None


def _schemas(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each schema of a body that has several, and where it is."""
    if "structured_outputs" in body:
        return
    if _is_schema(body.get("response_format")):
        yield "response_format.json_schema.schema", body["response_format"]["json_schema"]["schema"]
    for place, tool in enumerate(body.get("tools") or ()):
        if parameters := tool["function"].get("parameters"):
            yield f"tools[{place}].function.parameters", parameters


def _is_schema(format_: Any) -> bool:
    return isinstance(format_, dict) and format_.get("type") == "json_schema"
