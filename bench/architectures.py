"""True architectures without their weights: speed depends on the shapes of layers, not on the values in them.

Shapes are those of the models' published configurations. A folder that is made here loads into vLLM with
`load_format: dummy`; its tokenizer knows as many words as the model has tokens, which is all that speed asks.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """A model's shape. `told` is the speed that users of the API have been told, in tokens a second."""

    kind: str  # transformers' class
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    told: float = 0.0
    head: int = 0  # channels of one; 0 is hidden / heads
    tied: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def head_size(self) -> int:
        return self.head or self.hidden // self.heads

    @property
    def layer_parameters(self) -> int:
        """Of all layers' matrices, which a token needs all of."""
        attention = self.hidden * self.head_size * 2 * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def head_parameters(self) -> int:
        """Of the matrix that makes logits."""
        return self.hidden * self.vocabulary

    @property
    def parameters(self) -> int:
        """Of all matrices."""
        return self.layer_parameters + self.head_parameters * (1 if self.tied else 2)

    def bytes_per_token(self, fp8: bool) -> int:
        """That must be read for one token of one stream; vLLM's FP8 leaves the logits' matrix in 16 bits."""
        return self.layer_parameters * (1 if fp8 else 2) + self.head_parameters * 2


LLAMA = "LlamaForCausalLM"
QWEN = "Qwen2ForCausalLM"
ROPE_3_1 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

LLAMA_8B = Architecture(
    LLAMA,
    hidden=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    intermediate=14336,
    vocabulary=128256,
    told=550,
    more={"rope_theta": 5e5},
)

ARCHITECTURES = {
    "llama3": LLAMA_8B,
    "llama3.1-8b": replace(LLAMA_8B, told=500, more={"rope_theta": 5e5, "rope_scaling": ROPE_3_1}),
    "llama3.2-1b": Architecture(
        LLAMA,
        hidden=2048,
        layers=16,
        heads=32,
        kv_heads=8,
        intermediate=8192,
        vocabulary=128256,
        told=1900,
        tied=True,
        more={"rope_theta": 5e5, "rope_scaling": ROPE_3_1 | {"factor": 32.0}},
    ),
    "mistral-7b-instruct": replace(
        LLAMA_8B,
        kind="MistralForCausalLM",
        vocabulary=32768,
        told=70,
        more={"rope_theta": 1e6, "sliding_window": None},
    ),
    "qwen0.5": Architecture(
        QWEN,
        hidden=1024,
        layers=24,
        heads=16,
        kv_heads=16,
        intermediate=2816,
        vocabulary=151936,
        told=100,
        tied=True,
        more={"rope_theta": 1e6},
    ),
    "tinyllama": Architecture(
        LLAMA, hidden=2048, layers=22, heads=32, kv_heads=4, intermediate=5632, vocabulary=32000, told=100
    ),
    "gemma_7b": Architecture(
        "GemmaForCausalLM",
        hidden=3072,
        layers=28,
        heads=16,
        kv_heads=16,
        intermediate=24576,
        vocabulary=256000,
        told=20,
        head=256,
        tied=True,
        more={"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"},
    ),
    "deepseek-r1-distill-qwen-32b": Architecture(
        QWEN,
        hidden=5120,
        layers=64,
        heads=40,
        kv_heads=8,
        intermediate=27648,
        vocabulary=152064,
        told=800,
        more={"rope_theta": 1e6},
    ),
    "tiny": Architecture(LLAMA, hidden=256, layers=2, heads=4, kv_heads=2, intermediate=512, vocabulary=1000),
}
"""By their names in the catalogue; `tiny` is for trying out the path without a GPU."""


def build(architecture: Architecture, folder: Path, context: int) -> None:
    """A model's folder without weights, for so many tokens of prompt and answer."""
    folder.mkdir(parents=True)
    config = {
        "architectures": [architecture.kind],
        "model_type": architecture.kind.removesuffix("ForCausalLM").lower(),
        "hidden_size": architecture.hidden,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "num_key_value_heads": architecture.kv_heads,
        "head_dim": architecture.head_size,
        "intermediate_size": architecture.intermediate,
        "vocab_size": architecture.vocabulary,
        "tie_word_embeddings": architecture.tied,
        "max_position_embeddings": max(context, 8192),
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config | architecture.more))
    _build_tokenizer(architecture.vocabulary, folder)


def _build_tokenizer(size: int, folder: Path) -> None:
    """A word a token: w0, w1 and so on; any other word is w0."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({f"w{number}": number for number in range(size)}, unk_token="w0"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", bos_token="w1", eos_token="w2")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] + ' ' }}{% endfor %}"
    tokenizer.save_pretrained(folder)
