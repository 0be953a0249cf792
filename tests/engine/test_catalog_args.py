"""vLLM's own command line takes what the catalogue passes through to it. Loads vLLM, but no weights."""

import json
from typing import Any

import pytest

from shared.catalog import Model, load_catalog

pytestmark = pytest.mark.engine

CHATS = [model for model in load_catalog().models.values() if model.engine == "vllm"]


@pytest.fixture(scope="module")
def parser() -> Any:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return make_arg_parser(FlexibleArgumentParser(exit_on_error=False))


@pytest.mark.parametrize("model", CHATS, ids=lambda model: model.id)
def test_vllm_takes_the_arguments(parser: Any, model: Model) -> None:
    from vllm.entrypoints.launchers.cli_args import validate_parsed_serve_args

    parsed = parser.parse_args(argv(model.engine_args))
    validate_parsed_serve_args(parsed)
    # By the full name: argparse would also take an abbreviation, until a new version makes it ambiguous.
    assert {name: getattr(parsed, name) for name in model.engine_args} == model.engine_args


@pytest.mark.parametrize("model", CHATS, ids=lambda model: model.id)
def test_vllm_has_the_parsers_and_the_quantization(model: Model) -> None:
    from vllm.model_executor.layers.quantization import DEPRECATED_QUANTIZATION_METHODS, QUANTIZATION_METHODS
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    if "tool_call_parser" in model.engine_args:
        assert ToolParserManager.get_tool_parser(model.engine_args["tool_call_parser"])
    if "reasoning_parser" in model.engine_args:
        assert ReasoningParserManager.get_reasoning_parser(model.engine_args["reasoning_parser"])
    assert model.quantization in {None, *QUANTIZATION_METHODS} - set(DEPRECATED_QUANTIZATION_METHODS)


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]], ids=["plain", "system"])
def test_gemmas_template_is_gemmas_format_with_the_system_message_at_the_head(
    system: list[dict[str, str]],
) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    template = load_catalog().models["gemma_7b"].engine_args["chat_template"]
    turns = [("user", " Hi "), ("assistant", "Hello."), ("user", "Bye")]
    messages = system + [{"role": role, "content": content} for role, content in turns]
    (text,), _ = render_jinja_template(
        conversations=[messages], chat_template=template, add_generation_prompt=True, bos_token="<bos>"
    )
    head = "Be brief.\n\n" if system else ""
    assert text == (
        f"<bos><start_of_turn>user\n{head}Hi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
        "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    )


def argv(engine_args: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in engine_args.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        else:
            words += [option, value if isinstance(value, str) else json.dumps(value)]
    return words
