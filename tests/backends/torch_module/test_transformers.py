"""Networks of transformers against transformers: the same names, with the same weights the same.

Outputs differ by at most 1e-6 of the largest; those of BERT don't.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import archdsl

# Too large for every run; whoever has it beside the package compares.
transformers: Any = pytest.importorskip("transformers")

SPECS = Path(__file__).parents[3] / "specs"
SMALL = {"vocabulary": 100, "context": 64, "width": 32, "heads": 4, "layers": 3}


def compiled(name: str, twin: Any, *inputs: str) -> Any:
    """Return our module in a small form, for any length, with the weights of the other."""
    free = dict.fromkeys(inputs, ("T",))
    module = archdsl.load(SPECS / name, parameters=SMALL, inputs=free).compile().eval()
    assert list(module.state_dict()) == list(twin.state_dict())
    module.load_state_dict(twin.state_dict())
    return module


@pytest.mark.parametrize("length", [1, 16, 64])
def test_gpt2(length: int) -> None:
    config = transformers.GPT2Config(
        vocab_size=100, n_positions=64, n_embd=32, n_layer=3, n_head=4, bos_token_id=0,
        eos_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    twin = transformers.GPT2LMHeadModel(config).eval()
    module = compiled("gpt2.arch:gpt2", twin, "tokens")
    tokens = torch.randint(100, (3, length))

    with torch.no_grad():
        torch.testing.assert_close(module(tokens), twin(tokens).logits, rtol=0, atol=1e-6)
    assert module.lm_head.weight is module.transformer.wte.weight


@pytest.mark.parametrize("length", [1, 16, 64])
def test_bert(length: int) -> None:
    config = transformers.BertConfig(
        vocab_size=100, max_position_embeddings=64, hidden_size=32, num_hidden_layers=3,
        num_attention_heads=4, intermediate_size=128, attn_implementation="eager",
    )  # fmt: skip
    twin = transformers.BertModel(config).eval()
    module = compiled("bert.arch:bert_base", twin, "tokens", "segment")
    tokens, segments = torch.randint(100, (3, length)), torch.randint(2, (3, length))

    with torch.no_grad():
        ours = module(tokens, segments)
        theirs = twin(input_ids=tokens, token_type_ids=segments)
    assert torch.equal(ours.hidden, theirs.last_hidden_state)
    assert torch.equal(ours.output, theirs.pooler_output)


@pytest.mark.parametrize(
    ("name", "groups", "theta", "eps"),
    [("llama_7b", 4, 10_000.0, 1e-6), ("llama_3_8b", 2, 500_000.0, 1e-5)],
)
@pytest.mark.parametrize("length", [1, 16, 100])
def test_llama(name: str, groups: int, theta: float, eps: float, length: int) -> None:
    config = transformers.LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=groups, rope_parameters={
            "rope_type": "default", "rope_theta": theta}, rms_norm_eps=eps,
        attn_implementation="eager",
    )  # fmt: skip
    twin = transformers.LlamaForCausalLM(config).eval()
    given = {"vocabulary": 100, "width": 32, "inner": 48, "heads": 4, "groups": groups, "layers": 3}
    same(twin, f"llama.arch:{name}", given, length)


@pytest.mark.parametrize("length", [1, 16, 200])
def test_t5(length: int) -> None:
    config = transformers.T5Config(
        vocab_size=100, d_model=32, d_kv=16, d_ff=48, num_layers=3, num_heads=4
    )
    twin = transformers.T5EncoderModel(config).eval()
    with torch.no_grad():  # else what attention adds is hardly seen
        for parameter in twin.parameters():
            parameter.normal_(std=0.2)
    given = {"vocabulary": 100, "width": 32, "inner": 48, "heads": 4, "head": 16, "layers": 3}
    same(twin, "t5.arch:t5_small_encoder", given, length)


def same(twin: Any, name: str, parameters: Mapping[str, object], length: int) -> None:
    """Compare names in their order, and outputs for a length that is free."""
    network = archdsl.load(SPECS / name, parameters=parameters, inputs={"tokens": ("T",)})
    module = network.compile(device="cpu").eval()
    assert list(module.state_dict()) == list(twin.state_dict())
    module.load_state_dict(twin.state_dict())
    tokens = torch.randint(100, (3, length))
    with torch.no_grad():
        expected = twin(tokens)[0]
        difference = (module(tokens) - expected).abs().max()
    assert difference <= 1e-6 * expected.abs().max()
