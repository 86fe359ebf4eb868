"""The random start of weights."""

from torch import Tensor, nn

from blade_tune.choices import InitName
from blade_tune.layers.experts import Experts


def initialize(module: nn.Module, scheme: InitName) -> None:
    """Draw every table and matrix of a module anew and set biases to zero; norms keep ones and zeros.

    A table's padding row becomes zero.

    Args:
        module: the module, with all layers inside it.
        scheme: "xavier" is EIDP's Xavier normal, with fans for each expert by itself; "normal" is N(0, 0.02), as in
            RecBole, DIFF and ICLRec.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            _draw(part.weight, scheme)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            _draw(part.weight, scheme)
            if part.padding_idx is not None:
                nn.init.zeros_(part.weight[part.padding_idx])
        elif isinstance(part, Experts):
            for expert in (*part.expand_EDF, *part.contract_EFD):
                _draw(expert, scheme)
            nn.init.zeros_(part.expand_bias_EF)
            nn.init.zeros_(part.contract_bias_ED)


def _draw(weight: Tensor, scheme: InitName) -> None:
    if scheme == "xavier":
        nn.init.xavier_normal_(weight)
    else:
        nn.init.normal_(weight, std=0.02)
