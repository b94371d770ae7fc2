"""The device that models and flow run on."""

from __future__ import annotations

import os
import platform

import torch

from mimecurate.errors import MimecurateError


def find_device(name: str | None) -> torch.device:
    """Settle the device: as named, else CUDA where it is, else the CPU.

    Under `torchrun` each process on a machine takes the CUDA device of its number.

    Raises:
        MimecurateError: there is no such device.
    """
    there = torch.cuda.is_available()
    try:
        device = torch.device(name if name is not None else "cuda" if there else "cpu")
    except RuntimeError as error:
        raise MimecurateError(f"--device {name!r}: cpu, cuda or cuda:N") from error
    if device.type == "cpu" and not device.index:
        return torch.device("cpu")
    if device.type != "cuda":
        raise MimecurateError(f"--device {name!r}: cpu, cuda or cuda:N")
    if not there:
        raise MimecurateError(f"--device {name}: torch {torch.__version__} finds no CUDA device")
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise MimecurateError(f"cuda:{index}: there are {torch.cuda.device_count()} CUDA devices")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """Name the device as its maker does."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            name = next((line for line in file if line.startswith("model name")), "")
    except OSError:
        name = ""
    return name.partition(":")[2].strip() or platform.processor() or platform.machine()
