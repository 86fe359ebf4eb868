"""Equations 11 to 13 of BLADE in plain Python: the laws of the operators, from counts."""


def conditional(counts: list[int], pairs: list[list[int]]) -> list[list[float]]:
    """M_ij = count(i and j) / count(i)."""
    return [[pair / counts[i] if counts[i] else 0.0 for pair in row] for i, row in enumerate(pairs)]


def mask_probabilities(counts: list[int], exponent: float) -> list[float]:
    """P_i = m_i^c / sum_k m_k^c."""
    smooth = [count**exponent if count else 0.0 for count in counts]
    return [number / sum(smooth) for number in smooth]


def add_law(present: list[int], counts: list[int], pairs: list[list[int]]) -> list[float] | None:
    """The probability of adding each behavior: p = b M, absent ones only, normalized; None where nothing is added."""
    rows = conditional(counts, pairs)
    weights = [
        0.0 if present[j] else sum(rows[i][j] for i in range(len(present)) if present[i])
        for j in range(len(present))
    ]
    return [weight / sum(weights) for weight in weights] if sum(weights) > 0 else None


def mask_law(present: list[int], drop: list[float]) -> dict[tuple[int, ...], float]:
    """The probability of each set that masking may leave, every present behavior dropped by itself."""
    law = {(): 1.0}
    for bit, probability in zip(present, drop, strict=True):
        law = {
            (*kept, outcome): so_far * share
            for kept, so_far in law.items()
            for outcome, share in (((1, 1 - probability), (0, probability)) if bit else ((0, 1.0),))
        }
    return law
