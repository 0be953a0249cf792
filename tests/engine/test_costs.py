"""What is reserved for a prompt, against a real tokenizer."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.costs import most
from shared.catalog import Price
from tests.factories import make_model

pytestmark = pytest.mark.engine

FOLDER = Path(__file__).parents[2] / "data" / "models" / "smollm2-135m"
MODEL = make_model(price=Price(completion=0))


@pytest.fixture(scope="module")
def tokenizer() -> object:
    from transformers import AutoTokenizer

    if not FOLDER.exists():
        pytest.skip("the weights of smollm2-135m have not been unpacked")
    return AutoTokenizer.from_pretrained(FOLDER)


@given(st.text(), st.text())
def test_no_prompt_has_more_tokens_than_are_reserved(tokenizer, first: str, second: str) -> None:  # type: ignore[no-untyped-def]
    prompt = {"prompt": first, "max_tokens": 1}
    assert len(tokenizer(first).input_ids) <= most(MODEL, "completion", prompt).units
    messages = [{"role": "user", "content": first}, {"role": "assistant", "content": second}]
    said = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    chat = {"messages": messages, "max_tokens": 1}
    assert len(tokenizer(said, add_special_tokens=False).input_ids) <= most(MODEL, "chat", chat).units
