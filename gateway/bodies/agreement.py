"""Whether the fields of a request for text agree with each other, and with the model it is for."""

from gateway.bodies.chat import ChatRequest
from gateway.bodies.completion import MOST_CHOICES, CompletionRequest, usual_length
from gateway.bodies.sampling import Generation
from gateway.bodies.shapes import refusal
from gateway.bodies.tools import NamedTool
from shared.catalog import Model
from shared.errors import ContextLengthExceeded
from shared.messages import prompts

RENDERERS_OWN = frozenset(
    "conversation messages tools documents chat_template add_generation_prompt continue_final_message "
    "tokenize padding truncation max_length return_tensors return_dict return_assistant_tokens_mask "
    "tokenizer_kwargs".split()
)
"""Arguments of the function that renders templates, which a template's variables would replace."""


def chat_agrees(model: Model, request: ChatRequest) -> None:
    """Hold the fields of a chat against each other and the model. Raises InvalidRequest."""
    most = request.max_completion_tokens or request.max_tokens or model.max_tokens
    if request.top_logprobs and not request.logprobs:
        raise refusal("top_logprobs", "needs `logprobs`: true")
    _templates_agree(request)
    check_length(model, "max_completion_tokens", request.max_completion_tokens)
    _generation_agrees(model, request, most)
    if request.structured_outputs is not None and isinstance(request.tool_choice, NamedTool):
        raise refusal("structured_outputs", "send this or a `tool_choice` that names a function, not both")
    _tools_agree(model, request)


def completion_agrees(model: Model, request: CompletionRequest) -> None:
    """Hold the fields of a completion against each other and the model. Raises InvalidRequest."""
    n = request.n or 1
    if request.best_of not in (None, n):
        raise refusal("best_of", f"should be {n}, as `n`, or left out: all answers are given, not the best")
    _prompts_agree(model, prompts(request.prompt), n)
    if request.max_tokens == 0 and not request.echo:
        raise refusal("max_tokens", "should be at least 1, or 0 beside `echo`: true")
    most = usual_length(model) if request.max_tokens is None else request.max_tokens
    _generation_agrees(model, request, most)


def check_length(model: Model, param: str, tokens: int | None) -> None:
    """Refuse an answer that could be longer than the model's context, which is in tokens."""
    if tokens is not None and 0 < model.context < tokens:
        raise refusal(param, f"should be at most {model.context}, the context of '{model.id}', got {tokens}")


def _prompts_agree(model: Model, given: list[str | list[int]], n: int) -> None:
    if len(given) * n > MOST_CHOICES:
        fix = f"should have at most {MOST_CHOICES // n} prompts beside this `n`, got {len(given)}"
        raise refusal("prompt", fix)
    # Texts are counted by the engine. Of ids it would only tell that they leave no token for the answer.
    longest = max(len(prompt) if isinstance(prompt, list) else 0 for prompt in given)
    if 0 < model.context <= longest:
        fix = f"has {longest} tokens, and the context of '{model.id}' is {model.context}, answer and all"
        raise ContextLengthExceeded(f"prompt: {fix}", param="prompt")


def _templates_agree(request: ChatRequest) -> None:
    if request.continue_final_message and request.add_generation_prompt:
        raise refusal("add_generation_prompt", "should be false, or left out, beside `continue_final_message`")
    for name in request.chat_template_kwargs or ():
        if name in RENDERERS_OWN:
            raise refusal(f"chat_template_kwargs.{name}", "is not a variable of templates; leave it out")


def _generation_agrees(model: Model, request: Generation, most: int) -> None:
    """What holds for chats and completions, whose answers have `most` tokens."""
    if request.stream_options is not None and not request.stream:
        raise refusal("stream_options", "needs `stream`: true")
    check_length(model, "max_tokens", request.max_tokens)
    if request.min_tokens and 0 < most < request.min_tokens:
        raise refusal("min_tokens", f"should be at most {most}, as long as the answer, got {request.min_tokens}")
    if request.thinking_token_budget is not None and not model.thinks:
        raise refusal("thinking_token_budget", f"'{model.id}' does not think before it answers; leave it out")
    plain = request.response_format is None or request.response_format.type == "text"
    if request.structured_outputs is not None and not plain:
        raise refusal("structured_outputs", "send this or `response_format`, not both")


def _tools_agree(model: Model, request: ChatRequest) -> None:
    choice = request.tool_choice
    if choice == "none":
        return
    if request.tools is None:
        if choice is not None:
            raise refusal("tool_choice", "needs `tools`")
    elif not model.calls_tools:
        fix = f"'{model.id}' does not call tools; leave them out, or set `tool_choice` to \"none\""
        raise refusal("tools" if choice is None else "tool_choice", fix)
    elif isinstance(choice, NamedTool) and all(
        choice.function.name != tool.function.name for tool in request.tools
    ):
        raise refusal("tool_choice.function.name", "should be the name of one of `tools`")
