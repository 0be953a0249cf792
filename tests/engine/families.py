"""The architectures of the catalogue's language models, in miniature.

Each is the config.json its makers publish, with all that makes the architecture (the size of an attention head and
how many share a key, rope scaling, tied embeddings, latent attention, routed experts), but few and narrow layers.
There are no weights: vLLM draws them (`load_format: dummy`). The tokenizer is that of SmolLM2.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKENIZER_FILES = ["tokenizer_config.json", "chat_template.jinja", "generation_config.json"]

ROPE_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

ROPE_YARN = {
    "type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture, and the ids of the catalogue's entries that have it; the first of them is tried.

    `tokens` are those that the entry's parsers look for in the model's own tokenizer.
    """

    models: list[str]
    config: dict[str, Any]
    tokens: list[str] = field(default_factory=list)

    def write(self, folder: Path, tokenizer: Path) -> dict[str, int]:
        """Make `folder` a model folder without weights, with the tokenizer of another; the ids of all tokens."""
        for name in TOKENIZER_FILES:
            (folder / name).write_bytes((tokenizer / name).read_bytes())
        words = json.loads((tokenizer / "tokenizer.json").read_bytes())
        ids: dict[str, int] = words["model"]["vocab"]
        for token in self.tokens:
            ids[token] = len(ids)
            words["added_tokens"].append({"id": ids[token], "content": token} | VISIBLE)
        (folder / "tokenizer.json").write_text(json.dumps(words))
        of_tokenizer = {"vocab_size": len(ids), "bos_token_id": 1, "eos_token_id": 2}
        (folder / "config.json").write_text(json.dumps(of_tokenizer | self.config))
        return ids


VISIBLE = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
"""How tokenizer.json describes a token that is never cut, and is shown to the client."""

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "hidden_act": "silu",
    "attention_bias": False,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}

QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "use_sliding_window": False,
    "torch_dtype": "bfloat16",
}

FAMILIES: dict[str, Family] = {
    "llama": Family(
        models=["tinyllama", "llama3", "llama3_70b", "smollm2-135m"],
        config=LLAMA | {"hidden_size": 256, "max_position_embeddings": 2048, "rope_theta": 10000.0},
    ),
    "llama with rope scaling": Family(
        models=[
            "llama3.1-8b",
            "llama3.2-1b",
            "llama3.3-70b",
            "llama3.1-405b",
            "llama3.1-tulu-405b",
            "deepseek-r1-distill-llama-70b",
        ],
        config=LLAMA
        | {
            "max_position_embeddings": 131072,
            "mlp_bias": False,
            "rope_scaling": ROPE_LLAMA3,
            "eos_token_id": [0, 2],
        },
        tokens=["<|python_tag|>"],
    ),
    "gemma": Family(
        models=["gemma_7b"],
        # Its heads together are wider than the model. Its embeddings are tied without saying so.
        config={
            "architectures": ["GemmaForCausalLM"],
            "model_type": "gemma",
            "hidden_size": 384,
            "intermediate_size": 1024,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 256,
            "hidden_act": "gelu",
            "attention_bias": False,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-06,
            "rope_theta": 10000.0,
            "rope_scaling": None,
            "torch_dtype": "bfloat16",
        },
    ),
    "qwen": Family(
        models=["qwen0.5"],
        config=QWEN2
        | {
            "num_attention_heads": 8,
            "num_key_value_heads": 8,
            "max_position_embeddings": 32768,
            "max_window_layers": 2,
            "sliding_window": 32768,
            "tie_word_embeddings": True,
        },
    ),
    "qwen that reasons": Family(
        models=["deepseek-r1-distill-qwen-32b"],
        config=QWEN2
        | {
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "max_position_embeddings": 131072,
            "max_window_layers": 2,
            "sliding_window": 131072,
            "tie_word_embeddings": False,
        },
        tokens=["<think>", "</think>"],
    ),
    "mistral": Family(
        models=["mistral-7b-instruct"],
        config={
            "architectures": ["MistralForCausalLM"],
            "model_type": "mistral",
            "hidden_size": 512,
            "intermediate_size": 1024,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "hidden_act": "silu",
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
        },
        tokens=["[TOOL_CALLS]"],
    ),
    "deepseek": Family(
        models=["deepseek-r1", "deepseek-v3"],
        config={
            "architectures": ["DeepseekV3ForCausalLM"],
            "model_type": "deepseek_v3",
            # Code that comes with the weights. vLLM has its own, and must not ask for this.
            "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
            "hidden_size": 256,
            "intermediate_size": 512,
            # One dense layer, then two of experts.
            "num_hidden_layers": 3,
            "first_k_dense_replace": 1,
            "moe_layer_freq": 1,
            # Attention over latents: vLLM's kernel for CPUs has only the true size, 512 + 64.
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "q_lora_rank": 96,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            # The best 4 experts in the best 2 of 4 groups, and one that all tokens share.
            "n_routed_experts": 16,
            "n_group": 4,
            "topk_group": 2,
            "num_experts_per_tok": 4,
            "n_shared_experts": 1,
            "moe_intermediate_size": 64,
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "norm_topk_prob": True,
            "routed_scaling_factor": 2.5,
            "num_nextn_predict_layers": 1,
            "ep_size": 1,
            "hidden_act": "silu",
            "attention_bias": False,
            "max_position_embeddings": 163840,
            "rms_norm_eps": 1e-06,
            "rope_theta": 10000,
            "rope_scaling": ROPE_YARN,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
        },
        tokens=["<think>", "</think>"],
    ),
}
