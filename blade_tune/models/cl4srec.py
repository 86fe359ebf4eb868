"""CL4SRec: SASRec that also contrasts two views of each sequence (Xie et al., ICDE 2022).

There is no official code; encoder, loss, contrast and sizes are those of RuihongQiu/DuoRec.
"""

import torch
from torch import Tensor

from blade_tune.augment.items import views
from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.losses import contrastive
from blade_tune.models.micro_batches import in_micro_batches
from blade_tune.models.sasrec import SasRec
from blade_tune.models.settings.sasrec import Cl4SRecConfig


class Cl4SRec(SasRec):
    """SASRec whose state after a user's newest item is contrasted between two augmented sequences.

    Encoder, loss and contrast are DuoRec's by default.

    Deviates: DuoRec trains on the last step of every prefix of a user as a sample of its own. Here one run over the
    sequence predicts the next item at every step, whose state is that of the prefix, since positions count from the
    oldest item; the contrast is of whole sequences alone. The softmax is over items; in DuoRec padding is one of them.
    DuoRec's loader changes a sequence in place where it augments it, so that some views are equal; here they are not.
    """

    Config = Cl4SRecConfig
    config: Cl4SRecConfig

    def __init__(self, config: Cl4SRecConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog, has_mask=True)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the terms of the loss.

        Returns:
            `next`, SASRec's loss, and, if lambda is not 0, `contrastive`, lambda times InfoNCE of two views, in both
            directions.
        """
        batch = batch.newest(self.max_length)
        config = self.config
        shares = (config.crop_share, config.mask_share, config.reorder_share)

        def compute(part: Batch) -> tuple[Tensor, ...]:
            # The original and both views go through one forward pass.
            items_BL = part.items_BL
            pair = views(items_BL, shares, self.items.mask_item) if config.lambda_ else ()
            states_XLD = self.encode_items(torch.cat((items_BL, *pair)))

            # The newest states of the views are contrasted by the batch, not by its micro-batches.
            states_BLD, *contrasted = states_XLD.split(len(part))
            newest = (view_BLD[:, -1] for view_BLD in contrasted)
            return (self.next_item_loss(states_BLD, part), *newest)

        losses, *contrasted = zip(*in_micro_batches(compute, batch, self.items), strict=True)
        terms = {"next": self.mean(losses, self.weights(batch))}
        if contrasted:
            first_BD, second_BD = map(torch.cat, contrasted)
            contrast = contrastive(first_BD, second_BD, config.similarity, config.tau)
            terms["contrastive"] = config.lambda_ * contrast
        return terms
