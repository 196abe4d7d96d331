"""What a worker does to itself before it loads anything: dies with its parent, has no network, leaves no core dump.

Standard library only. Each step but the first is best effort and says in a note when it could not be done.
"""

import contextlib
import ctypes
import faulthandler
import fcntl
import os
import resource
import signal
import socket
import struct
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
OOM_SCORE = 500  # the kernel ends a worker before it ends the gateway

NEEDS_NETWORK = frozenset({"pull"})  # engines


def die_with(parent: int) -> None:
    """Be killed when the process `parent` ends. Exits at once when it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def adopt_orphans() -> None:
    """Become the parent of processes below this one whose own parent ends, instead of the system's first process."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def prepare_process() -> list[str]:
    """Stack dumps on SIGABRT, no core dumps, first in line when memory runs out. Returns notes."""
    notes = []
    faulthandler.enable(all_threads=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    except OSError as error:
        notes.append(f"oom_score_adj is unchanged: {error.strerror}")
    return notes


def leave_network(engine: str) -> list[str]:
    """Move into an empty network namespace; must come before any thread starts. Returns notes."""
    if engine in NEEDS_NETWORK:
        return []
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWNET if uid == 0 else CLONE_NEWUSER | CLONE_NEWNET
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        return [f"the worker keeps its network: {os.strerror(ctypes.get_errno())}"]
    _raise_loopback()
    if flags & CLONE_NEWUSER:
        _keep_identity(uid, gid)
        # A change of credentials may have cleared it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return []


def _raise_loopback() -> None:
    """Of the new network: it leads nowhere, but the parts of an engine (torch.distributed) talk over it."""
    request = struct.pack("16sH14s", b"lo", IFF_UP, b"")
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, request)


def _keep_identity(uid: int, gid: int) -> None:
    """Without a map every file would seem to belong to nobody."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        try:
            Path("/proc/self", name).write_text(text)
        except OSError:
            return


def resident_bytes(pid: int | str = "self") -> int:
    """Memory of a process, with what it shares with others."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def private_bytes(pid: int | str = "self") -> int:
    """Memory that a process has to itself: what would be free if it ended. All of it where the kernel does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return resident_bytes(pid)
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def forget_peak() -> None:
    """Let peak_bytes count from now: what loading took besides is free again."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # then loading counts as well


def peak_bytes(pid: int) -> int:
    """As private_bytes, at the moment when the process was largest. Raises OSError when it is gone."""
    text = Path(f"/proc/{pid}/status").read_text()
    amounts = {name: value for name, _, value in (line.partition(":") for line in text.splitlines())}
    highest, now = (int(amounts[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))
    return private_bytes(pid) + max(0, highest - now)
