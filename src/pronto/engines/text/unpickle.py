"""The child that turns pickled weights into safetensors: without network, without other programs, within limits.

Run as `python -m pronto.engines.text.unpickle FOLDER NAME...`; its last line on standard error says what went wrong.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_GIB = 1 << 30

# Linux system calls by machine: (audit architecture, seccomp, those that are refused).
# Refused: socket, connect, ptrace, execve, execveat, io_uring_setup (which could do all of them).
_MACHINES = {
    "x86_64": (0xC000003E, 317, (41, 42, 101, 59, 322, 425)),
    "aarch64": (0xC00000B7, 277, (198, 203, 117, 221, 281, 425)),
}
_X32 = 0x40000000  # numbers of another calling convention of x86_64


def close_off() -> None:
    """Refuse the network and other programs to every thread of this process, for good. Raises OSError."""
    if platform.machine() not in _MACHINES:
        raise OSError(f"a process cannot be closed off on {platform.machine()}")
    architecture, seccomp, refused = _MACHINES[platform.machine()]
    program = _program(architecture, refused)
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    filter = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    # 38: no new privileges, which the kernel asks for first. 1, 1: set a filter, on all threads.
    if libc.prctl(38, 1, 0, 0, 0) or libc.syscall(seccomp, 1, 1, ctypes.create_string_buffer(filter, len(filter))):
        raise OSError(ctypes.get_errno(), "the process cannot be closed off: " + os.strerror(ctypes.get_errno()))


def _program(architecture: int, refused: Sequence[int]) -> bytes:
    """Berkeley packet filter code over (number, architecture, ...) of a system call."""

    def one(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    load, equal, at_least, end = 0x20, 0x15, 0x35, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000  # refuse: EPERM
    checks = [one(at_least, len(refused) + 1, 0, _X32)]
    checks += [one(equal, len(refused) - position, 0, number) for position, number in enumerate(refused)]
    start = [one(load, 0, 0, 4), one(equal, 1, 0, architecture), one(end, 0, 0, kill), one(load, 0, 0, 0)]
    return b"".join([*start, *checks, one(end, 0, 0, allow), one(end, 0, 0, refuse)])


def limit(weights: int) -> None:
    """Bounds in proportion to the weights' bytes: memory, file size, an hour of one core, no core dump."""
    for kind, bound in (
        (resource.RLIMIT_AS, 3 * weights + 32 * _GIB),  # torch maps much that it never touches
        (resource.RLIMIT_FSIZE, 2 * weights + _GIB),
        (resource.RLIMIT_CPU, 3600),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (bound, bound))


def safetensors_name(name: str) -> str:
    """pytorch_model-00001-of-00002.bin -> model-00001-of-00002.safetensors, as the Hub names them."""
    folder, slash, file = name.rpartition("/")
    stem = file.rpartition(".")[0]
    return folder + slash + (stem.replace("pytorch_model", "model", 1) if file[:1] == "p" else stem) + ".safetensors"


def unpickle(folder: Path, name: str) -> None:
    """Write the safetensors file beside it. Raises ValueError when there is anything but tensors by name."""
    import torch
    from safetensors.torch import save_file

    try:
        loaded = torch.load(folder / name, map_location="cpu", weights_only=True)
    except Exception as error:
        # What torch says about it ends with the advice to run the file's code.
        kind = type(error).__name__
        raise ValueError(f"{name} holds more than weights, or is damaged ({kind}), and is not opened.") from None
    loaded = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    is_plain = isinstance(loaded, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    )
    if not is_plain or not loaded:
        raise ValueError(f"{name} holds something else than tensors by name.")
    save_file(_separate(loaded), folder / safetensors_name(name), metadata={"format": "pt"})


def _separate(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors that share memory, as tied weights do, get memory of their own: the format has no sharing."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.contiguous().clone() if place in seen else tensor.contiguous()
        seen.add(place)
    return separate


def rename_index(path: Path) -> None:
    """Write `model.safetensors.index.json` from `pytorch_model.bin.index.json`."""
    index = json.loads(path.read_bytes())
    index["weight_map"] = {name: safetensors_name(file) for name, file in index["weight_map"].items()}
    stem = safetensors_name(path.name.removesuffix(".index.json"))
    (path.with_name(stem + ".index.json")).write_text(json.dumps(index, indent=2))
    path.unlink()


def main(folder: Path, names: Sequence[str]) -> None:
    import safetensors.torch  # noqa: F401  before the gate closes: libraries may look for programs
    import torch

    torch.set_num_threads(1)
    limit(sum((folder / name).stat().st_size for name in names))
    close_off()
    for name in names:
        unpickle(folder, name)
    for name in names:
        (folder / name).unlink()
    for path in sorted(folder.rglob("*.bin.index.json")):
        rename_index(path)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # 1: die with the parent
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except (OSError, ValueError, KeyError, MemoryError) as error:
        print(error if str(error) else type(error).__name__, file=sys.stderr)
        sys.exit(1)
