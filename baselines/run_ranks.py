"""The processes that `torchrun` started: they share the clips of a run."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import ExitStack


def join_ranks(stack: ExitStack) -> tuple[int, int]:
    """Join the processes that `torchrun` started: number of this one, and how many there are."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    from torch import distributed

    if not distributed.is_initialized():  # they wait for one another at the ends alone
        distributed.init_process_group("gloo", timeout=timedelta(days=30))
        stack.callback(distributed.destroy_process_group)
    return distributed.get_rank(), distributed.get_world_size()


def sum_of_all(counts: Counter[str], ranks: int) -> dict[str, int]:
    """Add up what the processes counted."""
    every = [counts] * ranks
    if ranks > 1:
        from torch import distributed

        distributed.all_gather_object(every, counts)
    return dict(sorted(sum(every, Counter()).items()))


def wait_for_all(ranks: int) -> None:
    """Wait until every process is here."""
    if ranks > 1:
        from torch import distributed

        distributed.barrier()
