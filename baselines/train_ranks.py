"""Several processes that train one model, and how they are stopped together.

`torchrun` starts one process for each GPU and says in the environment which is which. Without it
there is one process, and nothing here costs anything.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import NoReturn, Self

    from torch import Tensor, nn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among all.

    Attributes:
        rank: counted from 0; 0 writes and talks.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def of_torchrun(cls) -> Ranks:
        """Join the processes that `torchrun` started; without it, be the only one."""
        if not distributed.is_available() or "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Let a model average its gradients over all processes."""
        if self.size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model, [device] if device.type == "cuda" else None)

    def counts(self, clips: int, stopping: bool) -> tuple[int, int, bool]:
        """Say of this step's clips the least that a process has, the sum, and who wants to stop."""
        if self.size == 1:
            return clips, clips, stopping
        everyone = self._gathered((clips, stopping))
        numbers = [count for count, _ in everyone]
        return min(numbers), sum(numbers), any(wish for _, wish in everyone)

    def sums(self, *values: Tensor) -> tuple[float, ...]:
        """Add up numbers over all processes."""
        if self.size == 1:
            return tuple(float(value) for value in values)
        stacked = torch.stack([value.double() for value in values])
        distributed.all_reduce(stacked)
        return tuple(stacked.tolist())

    def agree(self, mine: bool) -> bool:
        """Give the first process's answer to all."""
        if self.size == 1:
            return mine
        answer = [mine]
        distributed.broadcast_object_list(answer)
        return answer[0]

    def merged(self, mine: dict[Any, Any]) -> dict[Any, Any]:
        """Join the dictionaries of all processes."""
        if self.size == 1:
            return mine
        joined: dict[Any, Any] = {}
        for part in self._gathered(mine):
            joined |= part
        return joined

    def _gathered(self, mine: Any) -> list[Any]:
        everyone = [None] * self.size
        distributed.all_gather_object(everyone, mine)
        return everyone


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into a wish; the second acts as ever.

    Attributes:
        asked: whether one came.
    """

    def __init__(self) -> None:
        """Wait for none yet."""
        self.asked = False
        self._number: signal.Signals = signal.SIGINT
        self._before: dict[int, Any] = {}

    def end(self) -> NoReturn:
        """Do what the signal would have done."""
        self._restore()
        before = self._before.get(self._number)
        if callable(before):
            before(self._number, None)
        raise KeyboardInterrupt

    def __enter__(self) -> Self:
        """Take the signals over, where that is possible: in the main thread."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
            for number in _SIGNALS:
                signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked, self._number = True, signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def ignore_ctrl_c() -> None:
    """Let a process that reads clips live until the main one has stopped; SIGTERM ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
