"""The catalogue: our file is whole, an operator's file changes it, and every mistake is named."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shared import catalog
from shared.catalog import Catalog, Model, Price, load_catalog
from shared.errors import CatalogError, ModelNotFound

SEED = {
    "llama3": ["llama3-8b-Instruct", "llama3-8b"],
    "llama3.1-8b": ["llama3.1-8b-Instruct"],
    "llama3.2-1b": ["llama3.2-1b-Instruct"],
    "llama3_70b": ["llama3-70b-Instruct", "llama3-70b"],
    "llama3.3-70b": ["llama3.3-70b-Instruct"],
    "llama3.1-405b": ["llama3.1-405b-Instruct"],
    "llama3.1-tulu-405b": ["llama3.1-tulu-3-405b"],
    "tinyllama": ["tinyllama-1.1b-chat"],
    "gemma_7b": ["gemma-7b-it"],
    "stable_diffusion": ["stable-diffusion-xl-base-1.0"],
    "qwen0.5": ["qwen1.5-0.5b-chat"],
    "mistral-7b-instruct": ["mistral-7b-Instruct"],
    "deepseek-r1": [],
    "deepseek-v3": [],
    "deepseek-r1-distill-llama-70b": [],
    "deepseek-r1-distill-qwen-32b": [],
}

NEW = {"engine": "vllm", "weights": "org/name", "description": "New.", "context": 4096, "max_tokens": 512}

Write = Callable[[object], Path]


@pytest.fixture
def operator(tmp_path: Path) -> Write:
    """Writes an operator's file: text as it stands, anything else as YAML under `models`."""

    def write(content: object) -> Path:
        file = tmp_path / "models.local.yaml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump({"models": content}))
        return file

    return write


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog()


def model(**fields: object) -> Model:
    return Model.model_validate({"id": "m"} | NEW | fields)


class TestShipped:
    def test_has_the_seeds_models_in_its_order_then_two_for_any_machine(self, shipped: Catalog) -> None:
        assert list(shipped.models) == [*SEED, "smollm2-135m", "sdxl-tiny"]

    @pytest.mark.parametrize(("model_id", "name"), [(i, name) for i, names in SEED.items() for name in names])
    def test_finds_the_seeds_other_names(self, shipped: Catalog, model_id: str, name: str) -> None:
        assert shipped.find(name) is shipped.models[model_id]

    def test_kind_follows_the_engine(self, shipped: Catalog) -> None:
        images = [model.id for model in shipped.models.values() if model.kind == "image"]
        assert images == ["stable_diffusion", "sdxl-tiny"]

    def test_every_entry_that_needs_a_gpu_says_as_many_as_it_shards_over(self, shipped: Catalog) -> None:
        counts = {model.id: re.match(r"(\d+)x ", model.gpus) for model in shipped.models.values()}
        assert [name for name, count in counts.items() if count is None] == ["smollm2-135m", "sdxl-tiny"]
        sharded = {name: int(count[1]) for name, count in counts.items() if count}
        assert sharded == {name: shipped.models[name].tensor_parallel for name in sharded}

    def test_the_default_answer_leaves_most_of_the_context_to_the_prompt(self, shipped: Catalog) -> None:
        chats = [model for model in shipped.models.values() if model.kind == "chat"]
        assert [model.id for model in chats if model.max_tokens > model.context / 4] == []

    def test_every_chat_model_states_its_batch(self, shipped: Catalog) -> None:
        chats = [model for model in shipped.models.values() if model.kind == "chat"]
        assert [model.id for model in chats if "max_num_seqs" not in model.engine_args] == []

    def test_cannot_be_changed_by_its_readers(self, shipped: Catalog) -> None:
        with pytest.raises(TypeError):
            del shipped.models["llama3"]  # type: ignore[attr-defined]


class TestFind:
    @pytest.mark.parametrize("name", ["llama3_70b", "LLAMA3_70B", "llama3-70B", "Llama3-70b-instruct"])
    def test_ignores_case(self, shipped: Catalog, name: str) -> None:
        assert shipped.find(name).id == "llama3_70b"

    def test_suggests_the_nearest(self, shipped: Catalog) -> None:
        with pytest.raises(ModelNotFound) as caught:
            shipped.find("lama3")
        assert str(caught.value) == (
            "unknown model 'lama3': did you mean 'llama3', 'llama3_70b', 'llama3.2-1b'?"
            " The models are listed at /v1/models."
        )
        assert caught.value.failure().param == "model"
        assert caught.value.failure().status == 404

    def test_an_alias_suggests_its_entry_once(self) -> None:
        models = Catalog([model(id="tulu", aliases=["llama3.1-tulu-405b", "llama3.1-tulu-3-405b"])])
        with pytest.raises(ModelNotFound, match=re.escape("'llama3.1-tulu': did you mean 'tulu'? The")):
            models.find("llama3.1-tulu")

    def test_suggests_nothing_when_nothing_is_near(self, shipped: Catalog) -> None:
        with pytest.raises(
            ModelNotFound, match=r"^unknown model 'gpt-4'\. The models are listed at /v1/models\.$"
        ):
            shipped.find("gpt-4")

    @pytest.mark.parametrize("name", ["", "x" * 10**7, "\U000e0001" * 1000, "llama3" * 1000, "\ud800\n\0'"])
    def test_stays_short_for_absurd_names(self, shipped: Catalog, name: str) -> None:
        with pytest.raises(ModelNotFound) as caught:
            shipped.find(name)
        assert len(str(caught.value)) < 250
        assert str(caught.value).isprintable()

    def test_judges_a_long_name_by_its_beginning(self) -> None:
        with pytest.raises(ModelNotFound, match=f"did you mean '{'a' * 64}'"):
            Catalog([model(id="a" * 64)]).find("a" * 1000)

    def test_shows_where_it_cut(self, shipped: Catalog) -> None:
        with pytest.raises(ModelNotFound, match=re.escape(f"unknown model '{'x' * 79}…'. The")):
            shipped.find("x" * 500)


class TestOverride:
    def test_changes_one_field(self, operator: Write, shipped: Catalog) -> None:
        changed = load_catalog(operator({"llama3": {"context": 4096}})).models["llama3"]
        assert changed == shipped.models["llama3"].model_copy(update={"context": 4096})

    def test_merges_engine_args(self, operator: Write) -> None:
        changes = {"deepseek-r1": {"engine_args": {"max_num_seqs": 8, "dtype": "auto"}}}
        assert load_catalog(operator(changes)).models["deepseek-r1"].engine_args == {
            "max_num_seqs": 8,
            "enable_expert_parallel": True,
            "reasoning_parser": "deepseek_r1",
            "dtype": "auto",
        }

    def test_merges_maps_inside_engine_args(self, operator: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        ours = operator({"m": NEW | {"engine_args": {"speculative_config": {"method": "ngram", "depth": 4}}}})
        monkeypatch.setattr(catalog, "SHIPPED", ours.rename(ours.with_name("models.yaml")))
        changes = {"m": {"engine_args": {"speculative_config": {"depth": 2}}}}
        speculative = load_catalog(operator(changes)).models["m"].engine_args["speculative_config"]
        assert speculative == {"method": "ngram", "depth": 2}

    def test_null_takes_back_a_field_or_an_argument(self, operator: Write) -> None:
        changes = {
            "llama3.3-70b": {"quantization": None, "aliases": None, "engine_args": {"tool_call_parser": None}}
        }
        changed = load_catalog(operator(changes)).models["llama3.3-70b"]
        assert changed.quantization is None
        assert changed.aliases == []
        assert changed.engine_args == {"max_num_seqs": 128, "enable_auto_tool_choice": True}

    def test_adds_an_entry_at_the_end(self, operator: Write, shipped: Catalog) -> None:
        models = load_catalog(operator({"mine": NEW | {"aliases": ["my-model"]}})).models
        assert list(models) == [*shipped.models, "mine"]
        assert models["mine"] == model(id="mine", aliases=["my-model"])

    def test_null_removes_an_entry_and_its_names(self, operator: Write, shipped: Catalog) -> None:
        changed = load_catalog(operator({"llama3": None}))
        assert list(changed.models) == list(shipped.models)[1:]
        with pytest.raises(ModelNotFound):
            changed.find("llama3-8b-Instruct")

    def test_another_engine_starts_without_the_old_ones_arguments(self, operator: Write) -> None:
        changes = {"llama3": {"engine": "simulated", "kind": "chat", "engine_args": {"startup": 1}}}
        assert load_catalog(operator(changes)).models["llama3"].engine_args == {"startup": 1}

    @pytest.mark.parametrize("text", ["", "# nothing yet\n", "models:\n", "models: {}\n"])
    def test_may_be_empty(self, operator: Write, shipped: Catalog, text: str) -> None:
        assert load_catalog(operator(text)).models == shipped.models

    def test_yaml_merge_keys_and_anchors_work(self, operator: Write) -> None:
        text = """
            models:
              a: &a {engine: vllm, weights: w, description: d, context: 4096, max_tokens: 512}
              b: {<<: *a, context: 2048}
        """
        models = load_catalog(operator(text)).models
        assert (models["a"].context, models["b"].context) == (4096, 2048)


FIELDS = [
    ({"context": "8k"}, 'context: should be an integer, got "8k"'),
    ({"context": 8192.5}, "context: should be an integer, got 8192.5"),
    ({"context": True}, "context: should be an integer, got true"),
    ({"context": 0}, "context: should be greater than 0, got 0"),
    ({"context": 10**9}, "context: should be less than or equal to 10000000, got 1000000000"),
    ({"max_tokens": -1}, "max_tokens: should be greater than 0, got -1"),
    ({"context": None}, "context: is missing; engine vllm needs it"),
    ({"max_tokens": 8192}, "max_tokens: should be less than context (8192), got 8192"),
    ({"tensor_parallel": 0}, "tensor_parallel: should be greater than 0, got 0"),
    ({"contxt": 4096}, "contxt: unknown field; did you mean 'context'?"),
    ({"zzz": 1}, "zzz: unknown field"),
    ({"id": "llama3"}, "id: should be left out: it is the entry's key"),
    ({"engine": "vlm"}, "engine: should be 'vllm', 'diffusers' or 'simulated', got \"vlm\""),
    ({"engine": ["vllm"]}, "engine: should be 'vllm', 'diffusers' or 'simulated', got ['vllm']"),
    ({"engine": "simulated"}, "kind: is missing; an entry needs it"),
    ({"kind": "image"}, 'kind: should be "chat" for engine vllm, got "image"'),
    ({"weights": ""}, "weights: should not be empty"),
    ({"weights": 3}, "weights: should be text (in quotes, if it looks like something else), got 3"),
    ({"weights": None}, "weights: is missing; engine vllm needs it"),
    ({"price": 3}, "price: should be "),
    ({"price": {"prompt": -1}}, "price.prompt: should be greater than or equal to 0, got -1"),
    ({"price": {"prompt": 10_001}}, "price.prompt: should be less than or equal to 10000, got 10001"),
    ({"price": {"completion": 10**22}}, "price.completion: should be less than or equal to 10000, got 1000000000"),
    ({"price": {"completion": float("inf")}}, "price.completion: should be an integer, got Infinity"),
    ({"price": {"promt": 1}}, "price.promt: unknown field; did you mean 'prompt'?"),
    ({"aliases": "x"}, 'aliases: should be a list, got "x"'),
    ({"aliases": ["a b"]}, "aliases.0: should be at most 64 letters, digits, '.', '_' and '-', with a letter"),
    ({"aliases": ["tinyllama"]}, "aliases: 'tinyllama' is a name of tinyllama already (case is ignored)"),
    ({"engine_args": [1]}, "engine_args: should be a map, got [1]"),
    (
        {"engine_args": {"max_model_len": 1}},
        "engine_args.max_model_len: should be given as the entry's field context",
    ),
    (
        {"engine_args": {"quantization": "fp8"}},
        "engine_args.quantization: should be given as the entry's field quanti",
    ),
    (
        {"engine_args": {"tensor_parallel_size": 2}},
        "engine_args.tensor_parallel_size: should be given as the entry's",
    ),
    ({"engine_args": {"max-num-seqs": 1}}, "engine_args.max-num-seqs: should be spelled with underscores"),
    (
        {"description": ["x" * 999]},
        "description: should be text (in quotes, if it looks like something else), got ['x",
    ),
]

IMAGE_FIELDS = [
    ({"price": {"step": 10_001}}, "price.step: should be less than or equal to 10000, got 10001"),
    ({"context": 77}, "context: should be left out: it means nothing to engine diffusers"),
    ({"quantization": "fp8"}, "quantization: should be left out: it means nothing to engine diffusers"),
    ({"engine_args": {"step": 3}}, "engine_args.step: unknown field; did you mean 'steps'?"),
    ({"engine_args": {"steps": "30"}}, 'engine_args.steps: should be an integer, got "30"'),
    ({"engine_args": {"steps": 500}}, "engine_args.steps: should be at most max_steps (100), got 500"),
    (
        {"engine_args": {"size": 1024}},
        "engine_args.size: should be text (in quotes, if it looks like something else), got",
    ),
    (
        {"engine_args": {"size": "1024"}},
        'engine_args.size: should be WIDTHxHEIGHT in pixels, multiples of 8 from 64 on, got "1024"',
    ),
    ({"engine_args": {"size": "1024x1020"}}, "engine_args.size: should be WIDTHxHEIGHT in pixels, multiples of 8"),
    (
        {"engine_args": {"size": "32x64"}},
        "engine_args.size: should be WIDTHxHEIGHT in pixels, multiples of 8 from 64",
    ),
    ({"engine_args": {"size": "64x2048"}}, 'engine_args.size: should be at most max_size (1536), got "64x2048"'),
    ({"engine_args": {"guidance_scale": "high"}}, 'engine_args.guidance_scale: should be a number, got "high"'),
    (
        {"engine_args": {"guidance_scale": 31}},
        "engine_args.guidance_scale: should be less than or equal to 30, got 31",
    ),
    ({"engine_args": {"max_size": 8}}, "engine_args.max_size: should be greater than or equal to 64, got 8"),
    (
        {"engine_args": {"steps": 60, "max_steps": None}},
        "engine_args.steps: should be at most max_steps (50), got 60",
    ),
    (
        {"engine_args": {"max_size": 512, "size": None}},
        'engine_args.size: should be at most max_size (512), got "1024x1024"',
    ),
    ({"engine_args": {"batch": 0}}, "engine_args.batch: should be greater than 0, got 0"),
    (
        {"engine_args": {"dtype": "int8"}},
        "engine_args.dtype: should be 'float16', 'bfloat16' or 'float32', got \"int8\"",
    ),
]

ENTRIES = [
    ({"lama3": {"context": 4096}}, "lama3: there is no such entry to change; did you mean 'llama3'?"),
    ({"lama3": None}, "lama3: there is no such entry to remove; did you mean 'llama3'?"),
    ({"zzz": None}, "zzz: there is no such entry to remove"),
    ({"zzz": {"context": 4096}}, "zzz: engine: is missing; an entry needs it"),
    ({"new": NEW | {"description": None}}, "new: description: is missing; an entry needs it"),
    ({"new": {"engine": "vllm", "wieghts": "w"}}, "new: wieghts: unknown field; did you mean 'weights'?"),
    ({"llama3": 5}, "llama3: should be a map of fields, got 5"),
    ({3.1: NEW}, "3.1: id: should be text: put it in quotes"),
    ({"LLAMA3": NEW}, "LLAMA3: id: 'LLAMA3' is a name of llama3 already (case is ignored)"),
    ({"llama3": {"aliases": ["Gemma-7B-IT"]}}, "gemma_7b: aliases: 'gemma-7b-it' is a name of llama3 already"),
    ({"a b": NEW}, "a b: id: should be at most 64 letters"),
    ({"a/b": NEW}, "a/b: id: should be at most 64 letters"),
    ({"..": NEW}, "..: id: should be at most 64 letters"),
    ({"a\n": NEW}, "a\n: id: should be at most 64 letters"),
    ({"a" * 65: NEW}, "id: should be at most 64 letters"),
    ({"é": NEW}, "é: id: should be at most 64 letters"),
]

FILES = [
    ("models:\n  llama3:\n    context: [1\n", "line 4: expected ',' or ']', but got '<stream end>'"),
    ("models:\n  a: 1\n\tb: 2\n", "line 3: found character '\\t' that cannot start any token"),
    ("models: {a: 1, a: 2}\n", "line 1: 'a' is given twice"),
    ("models:\n  m:\n    context: 1\n    'context': 2\n", "line 4: 'context' is given twice"),
    ("models:\n  m:\n    engine_args:\n      dtype: a\n      dtype: b\n", "line 5: 'dtype' is given twice"),
    ("models: !!python/object:os.system {}\n", "line 1: could not determine a constructor for the tag"),
    ("models: {a: 1}\n---\nmodels: {}\n", "line 2: but found another document"),
    ("models: {a: 2024-99-99}\n", "is not valid YAML: month must be in 1..12"),
    ("models: \x07\n", "is not valid YAML"),
    ("models: &a {x: *a}\n", "is nested too deep, or an alias"),
    ("models: {m: &a {engine_args: *a}}\n", "is nested too deep, or an alias"),
    ("models: " + "{a: " * 2000 + "1" + "}" * 2000, "is nested too deep, or an alias"),
    ("- llama3\n", "should be a map with the one key 'models', got ['llama3']"),
    ("llama3: {context: 1}\n", "should be a map with the one key 'models', got {'llama3': {'context': 1}}"),
    ("models: {}\nmodel: {}\n", "should be a map with the one key 'models', got"),
    ("models: [llama3]\n", "models: should be a map of ids to entries, got ['llama3']"),
]


def test_dates_are_read_whatever_else_is_loaded(operator: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of vLLM's makes SafeLoader take them for text, in the whole process."""
    text = yaml.SafeLoader.yaml_constructors["tag:yaml.org,2002:str"]
    monkeypatch.setitem(yaml.SafeLoader.yaml_constructors, "tag:yaml.org,2002:timestamp", text)
    refused(operator("models: {a: 2024-99-99}\n"), "is not valid YAML: month must be in 1..12")


class TestMistakes:
    @pytest.mark.parametrize(("fields", "complaint"), FIELDS)
    def test_in_a_field(self, operator: Write, fields: dict[str, object], complaint: str) -> None:
        refused(operator({"llama3": fields}), f"llama3: {complaint}")

    @pytest.mark.parametrize(("fields", "complaint"), IMAGE_FIELDS)
    def test_in_a_field_of_an_image_model(
        self, operator: Write, fields: dict[str, object], complaint: str
    ) -> None:
        refused(operator({"stable_diffusion": fields}), f"stable_diffusion: {complaint}")

    @pytest.mark.parametrize(("changes", "complaint"), ENTRIES)
    def test_in_an_entry(self, operator: Write, changes: dict[str, object], complaint: str) -> None:
        refused(operator(changes), complaint)

    @pytest.mark.parametrize(("text", "complaint"), FILES)
    def test_in_the_file(self, operator: Write, text: str, complaint: str) -> None:
        refused(operator(text), complaint)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogError, match=re.escape("none.yaml: cannot be read: No such file or directory")):
            load_catalog(tmp_path / "none.yaml")

    def test_bytes_that_are_no_text(self, operator: Write) -> None:
        file = operator("")
        file.write_bytes(b"models: {a: \xff}")
        refused(file, "is not valid YAML")

    def test_two_new_entries_with_one_alias_are_both_named(self, operator: Write) -> None:
        changes = {"a": NEW | {"aliases": ["x"]}, "b": NEW | {"aliases": ["X"]}}
        refused(operator(changes), "b: aliases: 'X' is a name of a already (case is ignored)")

    def test_ours_is_named_when_ours_is_wrong(self, operator: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        ours = operator({"m": NEW | {"context": "8k"}})
        monkeypatch.setattr(catalog, "SHIPPED", ours)
        with pytest.raises(
            CatalogError, match=re.escape('models.local.yaml: m: context: should be an integer, got "8k"')
        ):
            load_catalog()


def refused(file: Path, complaint: str) -> None:
    """Loading `file` fails; the message is its path and then begins with `complaint`, and is not long."""
    with pytest.raises(CatalogError) as caught:
        load_catalog(file)
    message = str(caught.value)
    where, text = message[: len(f"{file}: ")], message[len(f"{file}: ") :]
    assert where == f"{file}: "
    assert complaint in text[: len(complaint) + 70]
    assert len(text) < 400


class TestModel:
    def test_the_same_name_twice_in_one_entry_is_no_clash(self) -> None:
        twice = model(id="m", aliases=["M", "n", "N"])
        assert Catalog([twice]).find("n") is twice

    def test_a_simulated_entry_needs_neither_weights_nor_sizes(self) -> None:
        simulated = Model(id="s", kind="image", engine="simulated", description="")
        assert (simulated.context, simulated.max_tokens) == (0, 0)

    def test_an_unknown_argument_is_left_to_vllm(self) -> None:
        assert model(engine_args={"tomorrow": 1}).engine_args == {"tomorrow": 1}

    def test_a_token_costs_a_unit_unless_said_otherwise(self) -> None:
        assert model().price == Price(prompt=1, completion=1, step=50)
        assert model(price={"completion": 3}).price == Price(prompt=1, completion=3, step=50)
