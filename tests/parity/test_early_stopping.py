import pytest

from blade_tune.training.early_stopping import EarlyStopping
from tests.parity.weights import fixture


@pytest.mark.parametrize("case", [0, 1])
def test_early_stopping_equals_eidp_s(case: int):
    """Rule `eidp` moves its best epoch, waits and stops as EIDP does, also where EIDP's never stops."""
    recorded = fixture("eidp_earlystop")["cases"][case]
    stopping = EarlyStopping("ndcg@10", patience=3, rule="eidp")
    for (ndcg, hit_rate), theirs in zip(recorded["ndcg10_hr10"], recorded["trace"], strict=True):
        stopping.update(theirs["epoch"], {"ndcg@10": ndcg, "hr@10": hit_rate})
        ours = {
            "best_epoch": stopping.best_epoch,
            "counter": stopping.waited,
            "stop": stopping.exhausted,
        }
        assert ours == {name: theirs[name] for name in ours}
