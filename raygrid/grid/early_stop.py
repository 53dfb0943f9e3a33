"""When training stops early, and which epoch is the best. Pure."""

from __future__ import annotations

import math


class EarlyStop:
    """Follows ``val_loss`` by epoch: keeps the best finite epoch and says when to stop.

    The patience is counted as in Keras' ``EarlyStopping`` with ``min_delta=0``: an epoch that is not better than
    the best so far (a NaN is never better) counts, and training stops once ``patience`` of them came in a row.
    Unlike in Keras, the best epoch is always a finite one, and a first epoch that is NaN does not bar later ones.

    Args:
        patience: epochs without a better ``val_loss`` before training stops; 0 or None: never.
        epochs: the last epoch in any case; None: there is none.
    """

    def __init__(self, patience: int | None, epochs: int | None = None) -> None:
        self.patience = patience or 0
        self.epochs = epochs
        self.best_epoch: int | None = None
        self.best = math.inf
        self.wait = 0

    def update(self, epoch: int, val_loss: float) -> tuple[bool, bool]:
        """Takes the ``val_loss`` of ``epoch`` (from 1); returns whether it is the best so far, and whether to stop."""
        better = math.isfinite(val_loss) and val_loss < self.best
        if better:
            self.best, self.best_epoch = val_loss, epoch
        # Keras starts to count at the second epoch, whatever the first one gave.
        self.wait = 0 if better or epoch == 1 else self.wait + 1
        return better, epoch == self.epochs or (bool(self.patience) and self.wait >= self.patience)
