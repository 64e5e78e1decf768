"""The network of the learned thinker: all-MiniLM-L6-v2 with two heads, in torch.

One encoder serves both tasks. Claims: which clauses of a turn say something that holds. Pairs: what
the clauses of a newer turn do to older thoughts, several of which are read with it at once.

This module is for training; `memkit.thoughts.inference` runs the trained network without torch.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from memkit.embedders import minilm_folder
from memkit.errors import ModelError
from memkit.thoughts.inference import DOWN, UP

CLAIM_KINDS = ("none", "fact", "plan", "state", "event", "quoted")
RELATIONS = ("keeps", "same", "replaces", "ends")


class TalkNetwork(nn.Module):
    """An encoder with a head for clauses and a head for pairs of clauses."""

    def __init__(self, encoder: BertModel, width: int = 384) -> None:
        super().__init__()
        self.encoder = encoder
        self.claims = nn.Linear(width, len(CLAIM_KINDS) + 1)  # the last: does it change something
        self.pairs = nn.Sequential(
            nn.Linear(4 * width, width), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(width, len(RELATIONS)),
        )  # fmt: skip

    def encode(self, ids: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden states of token ids, shape (n, tokens, width)."""
        output = self.encoder(input_ids=ids, token_type_ids=segments, attention_mask=mask)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def claim_logits(self, hidden: Tensor, clauses: Tensor) -> Tensor:
        """Return the logits of clauses, shape (n, clauses, kinds + 1).

        `clauses`, shape (n, clauses, tokens), has the weight of every token in a clause.
        """
        logits: Tensor = self.claims(clauses @ hidden)
        return logits

    def pair_logits(self, hidden: Tensor, older: Tensor, clauses: Tensor) -> Tensor:
        """Return the logits of older thoughts and newer clauses, (n, older, clauses, relations).

        `older` has the tokens of the older thoughts as `clauses` has those of the newer clauses.
        """
        shape = (-1, older.shape[1], clauses.shape[1], -1)
        first = (older @ hidden)[:, :, None].expand(shape)
        second = (clauses @ hidden)[:, None].expand(shape)
        whole = hidden[:, 0, None, None].expand(shape)
        logits: Tensor = self.pairs(torch.cat([first, second, first * second, whole], dim=-1))
        return logits


def build() -> TalkNetwork:
    """Return an untrained network: the bundled encoder with new heads."""
    folder = minilm_folder()
    encoder = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    encoder.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    return TalkNetwork(encoder)


def adapters(network: TalkNetwork, rank: int) -> dict[str, Tensor]:
    """Return a trained network as what it adds to the untrained one, in half precision.

    What training added to a matrix is stored as the product of two thin ones, `up @ down`, which
    are its best approximation of this rank (LoRA's form, Hu et al. 2022; Eckart and Young 1936).
    """
    base = build().state_dict()
    stored: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        if not name.startswith("encoder."):
            stored[name] = tensor
            continue
        added = tensor - base[name]
        if not added.any():
            continue
        if added.dim() == 1:
            stored[name] = added
            continue
        left, sizes, right = torch.linalg.svd(added, full_matrices=False)
        scale = sizes[:rank].sqrt()
        stored[f"{name}{UP}"] = left[:, :rank] * scale
        stored[f"{name}{DOWN}"] = scale[:, None] * right[:rank]
    return {name: tensor.half().contiguous() for name, tensor in stored.items()}


def load(file: Path) -> TalkNetwork:
    """Return the trained network: the bundled encoder plus the adapters of a file.

    Raises:
        ModelError: the file is missing or is not from this network.
    """
    network = build()
    state = network.state_dict()
    try:
        stored = {name: tensor.float() for name, tensor in load_file(file).items()}
        for name, tensor in stored.items():
            if name.endswith(UP):
                base = name.removesuffix(UP)
                state[base] += tensor @ stored[base + DOWN]
            elif name.startswith("encoder.") and not name.endswith(DOWN):
                state[name] += tensor
            elif not name.startswith("encoder."):
                state[name] = tensor
        network.load_state_dict(state)
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the thinker's weights at {file} cannot be used: {error}; reinstall memkit-llm"
        ) from error
    return network.eval()
