import pytest
import torch

from blade_tune.metrics import CUTOFFS, summarize
from tests.builders import ranks_of
from tests.parity.weights import as_tensor, fixture


def test_metrics_equal_eidp_s():
    """NDCG@k and HR@k of ranked lists are those of EIDP, whose users without a test item do not count."""
    eidp = fixture("eidp_metrics")
    missed = 20
    ranks_U = torch.tensor(
        [
            top20.index(target) if target in top20 else missed
            for top20, [target] in zip(
                eidp["inputs"]["pred_top20"], eidp["inputs"]["ground_truth"], strict=True
            )
            if target
        ]
    )
    theirs = {name.lower(): value for name, value in eidp["outputs"].items()}
    ours = summarize(ranks_U)
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-8)


def test_ranking_equals_eidp_s():
    """Sorted by rank, the unmasked items are EIDP's top 20; equal scores, which EIDP orders as it comes, may swap."""
    ranking = fixture("eidp_metrics")["ranking"]
    scores_BV, masked_BV = as_tensor(ranking["scores"]), torch.tensor(ranking["masked"])
    B, V = scores_BV.shape
    assert masked_BV[:, 0].all()  # padding
    ranks = [ranks_of(scores_BV, torch.full((B,), item), masked_BV) for item in range(1, V)]
    ours_BR = 1 + torch.stack(ranks, dim=1).argsort(dim=1)[:, :20]
    theirs_BR = torch.tensor(ranking["top20"])
    assert torch.equal(scores_BV.gather(1, ours_BR), scores_BV.gather(1, theirs_BR))
    assert not masked_BV.gather(1, ours_BR).any()


def test_metrics_equal_three_independent_implementations():
    """Scores alone give the NDCG@k and HR@k that EIDP, MB-STR and DyMuS give."""
    crosscheck = fixture("metrics_crosscheck")
    scores_BV = as_tensor(crosscheck["inputs"]["scores"])
    # Theirs rank column 0, ours is padding
    padding_B1 = torch.full((len(scores_BV), 1), 99.0, dtype=torch.float64)
    scores_BV = torch.cat((padding_B1, scores_BV), dim=1)
    targets_B = 1 + torch.tensor(crosscheck["inputs"]["target"])
    ours = summarize(ranks_of(scores_BV, targets_B, torch.zeros_like(scores_BV, dtype=torch.bool)))
    eidp, mbstr, dymus = (crosscheck["outputs"][name] for name in ("EIDP", "MBSTR", "DyMuS"))
    for place, k in enumerate(CUTOFFS):
        ndcg, hit_rate = ours[f"ndcg@{k}"], ours[f"hr@{k}"]
        assert (ndcg, hit_rate) == pytest.approx((eidp[f"NDCG@{k}"], eidp[f"HR@{k}"]), abs=1e-8)
        # float32
        assert (ndcg, hit_rate) == pytest.approx(
            (mbstr[f"NDCG@{k}"], mbstr[f"Recall@{k}"]), abs=1e-6
        )
        sums = (dymus["ndcg_sum"][place] / dymus["n"], dymus["recall_sum"][place] / dymus["n"])
        assert (ndcg, hit_rate) == pytest.approx(sums, abs=1e-8)
