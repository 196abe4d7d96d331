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


def resident_bytes() -> int:
    """Memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
