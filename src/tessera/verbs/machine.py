"""What a run runs on: the machine, the versions and the commit."""

import ctypes
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "numpy", "safetensors", "tokenizers")


def chosen_device(device: str) -> str:
    """The device of this name; "auto" is a GPU where there is one. Raises ValueError where it cannot be used."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"device: {device!r}: {said}; auto, cpu, and cuda where it is there are accepted; leave it at auto") from error
    return device


def fast_bfloat16(device: str) -> bool:
    """Whether this device multiplies bfloat16 faster than float32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    return device == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def peak_megabytes(device: str) -> float:
    """The most memory this process has held on the device so far; 0 where the system does not say (Windows)."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform != "darwin" else 2**20)


def finished(device: str) -> None:
    """Wait until the device has done what it was told, so that it can be timed."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def keep_memory() -> None:
    """Keep freed memory for the next training step, on Linux: handed back and taken anew, a step is a tenth slower."""
    mallopt, trim_threshold, mmap_threshold = _of_libc("mallopt"), -1, -3
    if mallopt:
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)  # bytes, the most that glibc accepts


def give_back_memory() -> None:
    """Hand freed memory back to the system: glibc keeps blocks of the many sizes that training makes, gigabytes in an hour."""
    malloc_trim = _of_libc("malloc_trim")
    if malloc_trim:
        malloc_trim(0)


def _of_libc(name: str) -> Any:
    """A function of glibc; other C libraries have none of these."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def spent() -> tuple[float, float]:
    """Seconds by the clock, and those that all cores have worked for this process; only their differences mean something."""
    return time.monotonic(), time.process_time()


def commit() -> str:
    """The commit of the source this runs from, "+" where files differ from it; "" where it is in no checkout of ours."""
    here = Path(__file__).parent.parent
    run = lambda *words: subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()
    try:
        run("ls-files", "--error-unmatch", "--", __file__)
        return run("rev-parse", "--short=12", "HEAD") + ("+" if run("status", "--porcelain", "--", here) else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine() -> dict[str, Any]:
    """What this runs on."""
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {"platform": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count(), "accelerator": accelerator}


def versions() -> dict[str, str]:
    """The versions that decide numbers."""
    return {"python": sys.version.split()[0], **{name: importlib.metadata.version(name) for name in PACKAGES}}
