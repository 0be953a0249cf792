"""What OpenAI's client may call beside chats and images: the list of models, and what is not offered."""

from collections.abc import Callable, Iterator

import openai
import pytest

from gateway.api.models import CREATED
from tests.cluster import Cluster

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def client(simulated: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulated.url}/v1", api_key=simulated.key("free"), max_retries=0) as client:
        yield client


CALLS: dict[str, Callable[[openai.OpenAI], object]] = {
    "responses": lambda client: client.responses.create(model="fast", input="hi"),
    "one response": lambda client: client.responses.retrieve("resp_1"),
    "speech": lambda client: client.audio.speech.create(model="fast", input="hi", voice="alloy"),
    "transcription": lambda client: client.audio.transcriptions.create(model="fast", file=b"RIFF"),
    "moderations": lambda client: client.moderations.create(input="hi"),
    "a file": lambda client: client.files.create(file=b"{}", purpose="batch"),
    "files": lambda client: client.files.list(),
    "batches": lambda client: client.batches.list(),
    "an edit": lambda client: client.images.edit(image=b"PNG", prompt="hi"),
    "another file": lambda client: client.put("/files/file_1", cast_to=object),
    "another assistant": lambda client: client.patch("/assistants/asst_1", cast_to=object),
    "no file": lambda client: client.files.delete("file_1"),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_is_not_offered_says_what_is(client: openai.OpenAI, call: str) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        CALLS[call](client)
    assert error.value.code == "not_offered"
    assert "/v1/chat/completions, " in str(error.value)
    assert "/v1/free/{name}" in str(error.value)


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("fast", "not_offered", "'fast' chats"),
        ("pictures", "not_offered", "'pictures' makes images"),
        ("fsat", "model_not_found", "did you mean 'fast'"),
    ],
)
def test_no_model_makes_embeddings(client: openai.OpenAI, model: str, code: str, words: str) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client.embeddings.create(model=model, input="hi")
    assert (error.value.code, error.value.param) == (code, "model")
    assert words in str(error.value)


def test_models_are_those_of_the_client(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert models["fast"].object == "model"
    assert {model.created for model in models.values()} == {CREATED}
    assert (models["fast"].model_extra or {})["max_model_len"] == 4096
    assert (models["fast"].model_extra or {})["max_tokens"] == 4000
    assert (models["sdxl-tiny"].model_extra or {})["max_model_len"] is None
    assert client.models.retrieve("FAST").id == "fast"
    assert client.models.retrieve("llama3.1-8b-Instruct").id == "llama3.1-8b"


@pytest.mark.parametrize("name", ["meta/llama3", "ünïcode", "a b?c#d", "x" * 5000, "..fast"])
def test_an_odd_name_is_an_unknown_model(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve(name)
    assert error.value.code == "model_not_found"


def test_an_unknown_model_names_the_nearest(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("meta-llama/Llama-3.1-8B-Instruct")
    assert "'llama3.1-8b'" in str(error.value)
