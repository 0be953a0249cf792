"""vLLM's errors, in words for clients."""

import pytest

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, ModelNotFound
from workers.engines.vllm_refusals import translated

BODY = {"messages": [], "model": "m", "stream": True, "min_p": 0.5, "tools": [], "response_format": {}}


def test_too_long_a_conversation_keeps_the_engines_numbers() -> None:
    words = "This model's maximum context length is 2048 tokens. However, your prompt has 2049."
    message = f"{words} (parameter=input_tokens, value=2049)"
    error = translated({"code": 400, "message": message, "param": "input_tokens"}, BODY)
    assert isinstance(error, ContextLengthExceeded)
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert str(error) == words


@pytest.mark.parametrize(
    ("message", "param", "found", "words"),
    [
        ("top_k must be 0. (parameter=top_k, value=-5)", "top_k", "top_k", "top_k: top_k must be 0."),
        ("The min_p parameter is not supported.", None, "min_p", "min_p: The min_p parameter is not supported."),
        ("Grammar error: no", None, "response_format", "response_format: Grammar error: no"),
        ("Roles must alternate", None, "messages", "messages: Roles must alternate"),
        ("min_p requires --more to be set", None, "min_p", "min_p: the model's engine does not take this"),
        ("see ChatToolsParam", None, "messages", "messages: the model's engine does not take this"),
        (
            "render() got multiple values: jinja2.Template.render()",
            None,
            "messages",
            "messages: the model's engine does not take this",
        ),
        ("The user has no tools to speak of", None, "messages", "messages: The user has no tools to speak of"),
        ("'tools' should have names", None, "tools", "tools: 'tools' should have names"),
        ("too many logprobs", "logprobs", "top_logprobs", "top_logprobs: too many logprobs"),
    ],
)
def test_a_refusal_names_the_clients_field(message: str, param: str | None, found: str, words: str) -> None:
    error = translated({"code": 422, "message": message, "param": param}, BODY)
    assert isinstance(error, InvalidRequest)
    assert (error.status, error.param, str(error)) == (400, found, words)


@pytest.mark.parametrize(("code", "kind"), [(404, ModelNotFound), (500, EngineFailed), (503, EngineFailed)])
def test_what_is_not_the_clients_doing_is_not_said_to_be(code: int, kind: type[Exception]) -> None:
    assert type(translated({"code": code, "message": "no", "param": None}, BODY)) is kind
