"""GPT-2 and BERT against transformers: the same names, and with the same weights the same."""

from __future__ import annotations

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
