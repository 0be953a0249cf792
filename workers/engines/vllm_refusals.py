"""What vLLM refuses, in words for clients: the field, and no names of classes, parameters or flags of its own."""

import re
from typing import Any

from pydantic import ValidationError

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, ModelNotFound, RequestError

TOO_LONG = re.compile(r"maximum (context|model) length|context length \(\d+\)")

CHAT_FIELDS = {
    "input_text": "messages",
    "input_tokens": "messages",
    "tool_calls": "messages",
    "logprobs": "top_logprobs",
}
COMPLETION_FIELDS = {"input_text": "prompt", "input_tokens": "prompt", "prompt_logprobs": "logprobs"}
"""Where a client finds what vLLM calls by another name."""

FORM = re.compile("grammar|schema|regex|structured output", re.IGNORECASE)
FORMS = ("structured_outputs", "response_format", "tools")
"""Fields that say what form the answer has, and how vLLM speaks of them all."""

# VLLMValidationError adds its attributes to its message.
DETAILS = re.compile(r" \((parameter|value)=.*\)\Z", re.DOTALL)

OPERATORS = re.compile(r"--[a-z]|\bv?LLM\b|\b[A-Z][a-z]+[A-Z]\w+(Error|Param|Params|Config)\b|\b\w+(\.\w+)+\(\)")
"""Words for those who run the engine: a flag, a class, a function."""


def refusal(error: Exception, body: dict[str, Any]) -> RequestError:
    """What a client whose request has this body is told of this exception."""
    from vllm.entrypoints.serve.exception_handling.error_response import create_error_response

    if isinstance(error, ValidationError):
        param = str(next(iter(error.errors()[0]["loc"]), "")) or None
        return _invalid("the model's engine does not take this value", param)
    return translated(create_error_response(error).error.model_dump(), body)


def translated(error: dict[str, Any], body: dict[str, Any]) -> RequestError:
    """vLLM's error, as its server would answer it, as ours."""
    message = DETAILS.sub("", error["message"])
    if error["code"] == 404:
        return ModelNotFound(message, param="model")
    if not 400 <= error["code"] < 500:
        return EngineFailed(message)
    if TOO_LONG.search(message):
        return ContextLengthExceeded(message, param=_question(body))
    param = error.get("param") or _named(message, body)
    if OPERATORS.search(message):
        message = "the model's engine does not take this"
    fields = CHAT_FIELDS if "messages" in body else COMPLETION_FIELDS
    return _invalid(message, fields.get(param, param))


def _invalid(message: str, param: str | None) -> InvalidRequest:
    return InvalidRequest(f"{param}: {message}" if param else message, param=param)


def _named(message: str, body: dict[str, Any]) -> str:
    """The field that the message speaks of. What names none comes from the template, or of the prompt."""
    forms = FORMS if FORM.search(message) else ()
    # Others may be plain words there, or a client's own: "stop", "tools", "user".
    fields = [*re.findall(r"\w+_\w+|(?<=[`'\"])\w+(?=[`'\"])", message), *forms]
    return next((field for field in fields if field in body.keys() - {"model", "stream"}), _question(body))


def _question(body: dict[str, Any]) -> str:
    """The field that is answered."""
    return "messages" if "messages" in body else "prompt"
