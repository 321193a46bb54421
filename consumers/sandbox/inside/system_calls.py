"""Which system calls the code may make: those that computing needs, and no other.

A list of what is allowed, and not of what is dangerous: the kernel gets new system calls with every
release. Names that an architecture does not have are left out there.
"""

from __future__ import annotations

import errno
import os
from typing import Any

_ALLOWED = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek sendfile
copy_file_range splice tee close close_range dup dup2 dup3 flock pipe pipe2 eventfd2 umask
access faccessat faccessat2 stat lstat fstat newfstatat statx statfs fstatfs
readlink readlinkat getdents64 getcwd chdir fchdir fadvise64 fsync fdatasync sync_file_range
poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait
brk mmap munmap mremap mprotect madvise mincore msync
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack
pause alarm setitimer getitimer nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday
time times getrusage getrlimit sysinfo uname getcpu sched_yield sched_getaffinity
sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min membarrier
futex futex_waitv set_robust_list get_robust_list set_tid_address rseq arch_prctl restart_syscall
getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid
getsid getrandom exit exit_group
"""

_WRITING = """
open openat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2
truncate ftruncate fallocate
"""
"""Allowed where there is a folder to write to."""

_FALLS_BACK = "clone3 openat2 fchmodat2 futex_wake futex_wait futex_requeue mseal cachestat"
"""System calls that C libraries try first: if the kernel does not know them, they take another."""

CLONE_THREAD = 0x00010000
# The flags of clone() that make a namespace; see clone(2).
_NAMESPACES = 0x7E020000 | 0x00000080
PR_SET_NAME, PR_GET_NAME, PR_SET_VMA = 15, 16, 0x53564D41
# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC. Landlock before Linux 6.2 does not know the last one.
_OPENED_TO_WRITE = 0o1 | 0o2 | 0o100 | 0o1000
_OF_FILES = (0, 1, 2, 3, 4, 5, 6, 7, 1030)
"""The commands of fcntl() from F_DUPFD to F_SETLKW, and F_DUPFD_CLOEXEC. With F_SETOWN, another
process would get a signal."""
_TERMINAL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what Python asks of an open file."""


def forbid(*, may_write: bool) -> None:
    """Install the filter on every thread of this process; it cannot be taken off again."""
    import seccompy as seccomp  # lazy: of the box's own libraries

    rules = seccomp.Filter(
        default=seccomp.Action.ERRNO | errno.EPERM, flags=seccomp.FilterFlag.TSYNC
    )
    for name in (_ALLOWED + (_WRITING if may_write else "")).split():
        if _exists(seccomp, name):
            rules.allow(name)
    for name in _FALLS_BACK.split():
        if _exists(seccomp, name):
            rules.errno(name, errno.ENOSYS)
    masked, equal = seccomp.CmpOp.MASKED_EQ, seccomp.CmpOp.EQ
    if not may_write:
        for name, flags in (("open", 1), ("openat", 2)):
            if _exists(seccomp, name):
                rules.allow(name, args=[(flags, masked, 0, _OPENED_TO_WRITE)])
    for command in _OF_FILES:
        rules.allow("fcntl", args=[(1, equal, command)])
    # Threads, and no processes.
    rules.allow("clone", args=[(0, masked, CLONE_THREAD, CLONE_THREAD | _NAMESPACES)])
    # A process may signal itself.
    for name in ("kill", "tgkill"):
        rules.allow(name, args=[(0, equal, os.getpid())])
    # Reading its own limits; not setting any.
    for pid in (0, os.getpid()):
        rules.allow("prlimit64", args=[(0, equal, pid), (2, equal, 0)])
    for option in (PR_SET_NAME, PR_GET_NAME, PR_SET_VMA):
        rules.allow("prctl", args=[(0, equal, option)])
    for request in _TERMINAL:
        rules.allow("ioctl", args=[(1, equal, request)])
    rules.load()


def _exists(seccomp: Any, name: str) -> bool:
    try:
        seccomp.syscall_nr(name)
    except (KeyError, ValueError):
        return False
    return True
