"""The threads that run CPU programs: parked in native code, woken for a call, in step by barriers of the program.

A worker is a Python thread inside one native call that never returns while the team lives, so it needs no lock of the
interpreter. It spins for some microseconds after a job, then sleeps on a condition variable. Where starting others
costs more than it gains, where another thread is using the team, and where there are no POSIX threads, the caller works
alone.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from typing import Any

# Statements times elements below which the others are not woken: about 50 microseconds of work.
THRESHOLD = 1_000_000

# The team's 64-bit words, on cache lines of their own; codegen/llvm_support.py knows the first five.
_WORDS = {
    "taken": 0, "waiting": 8, "meetings": 16, "joined": 24, "counted": 32, "finished": 40, "jobs": 48,
    "task": 56, "args": 57, "threads": 58, "stop": 64, "asleep": 72, "mutex": 80, "wake": 96,
}  # fmt: skip
_SIZE = 128

_SOURCE = """
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()

define void @team_init(ptr %team) {
  WORDS
  call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  call i32 @pthread_cond_init(ptr %wake, ptr null)
  ret void
}

define internal void @announce(ptr %team) {
entry:
  WORDS
  atomicrmw add ptr %jobs, i64 1 seq_cst
  %sleepers = load atomic i64, ptr %asleep seq_cst, align 8
  %any = icmp ne i64 %sleepers, 0
  br i1 %any, label %rouse, label %done
rouse:
  call i32 @pthread_mutex_lock(ptr %mutex)
  call i32 @pthread_cond_broadcast(ptr %wake)
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}

define void @team_stop(ptr %team) {
  WORDS
  store i64 1, ptr %stop
  call void @announce(ptr %team)
  ret void
}

define void @team_run(ptr %team, ptr %function, ptr %arguments, i64 %count) {
begin:
  WORDS
  store i64 0, ptr %taken
  store i64 0, ptr %waiting
  store i64 0, ptr %counted
  store i64 0, ptr %finished
  store ptr %function, ptr %task
  store ptr %arguments, ptr %args
  store i64 %count, ptr %threads
  store atomic i64 0, ptr %joined release, align 8
  call void @announce(ptr %team)
  call void %function(ptr %arguments, i64 0)
  %before = atomicrmw or ptr %joined, i64 4294967296 acq_rel
  %met = load i64, ptr %counted
  %never = icmp eq i64 %met, 0
  %known = add i64 %met, -1
  %others = select i1 %never, i64 %before, i64 %known
  br label %wait
wait:
  %turn = phi i64 [ 0, %begin ], [ %next, %pause ], [ 0, %yield ]
  %ended = load atomic i64, ptr %finished acquire, align 8
  %over = icmp eq i64 %ended, %others
  br i1 %over, label %done, label %more
more:
  %next = add i64 %turn, 1
  %tired = icmp sgt i64 %next, 256
  br i1 %tired, label %yield, label %pause
pause:
  call void asm sideeffect "PAUSE", ""()
  br label %wait
yield:
  call i32 @sched_yield()
  br label %wait
done:
  store ptr null, ptr %args
  ret void
}

; A worker. What it runs it reads only after it has joined an open job, so a late one cannot meet a job half written;
; and one that joins a job twice finds no work the second time.
define void @team_work(ptr %team, i64 %number) {
begin:
  WORDS
  br label %idle
idle:
  %last = phi i64 [ 0, %begin ], [ %now, %look ], [ %now, %join ], [ %now, %work ]
  br label %spin
spin:
  %turn = phi i64 [ 0, %idle ], [ %next, %pause ]
  %job = load atomic i64, ptr %jobs acquire, align 8
  %fresh = icmp ne i64 %job, %last
  br i1 %fresh, label %found, label %more
more:
  %next = add i64 %turn, 1
  %tired = icmp sgt i64 %next, 1000
  br i1 %tired, label %sleep, label %pause
pause:
  call void asm sideeffect "PAUSE", ""()
  br label %spin
sleep:
  call i32 @pthread_mutex_lock(ptr %mutex)
  atomicrmw add ptr %asleep, i64 1 seq_cst
  br label %check
check:
  %again = load atomic i64, ptr %jobs seq_cst, align 8
  %awake = icmp ne i64 %again, %last
  br i1 %awake, label %rise, label %doze
doze:
  call i32 @pthread_cond_wait(ptr %wake, ptr %mutex)
  br label %check
rise:
  atomicrmw sub ptr %asleep, i64 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %found
found:
  %now = phi i64 [ %job, %spin ], [ %again, %rise ]
  %stopping = load i64, ptr %stop
  %leave = icmp ne i64 %stopping, 0
  br i1 %leave, label %done, label %look
look:
  %count = load i64, ptr %threads
  %mine = icmp slt i64 %number, %count
  br i1 %mine, label %join, label %idle
join:
  %members = atomicrmw add ptr %joined, i64 1 acq_rel
  %open = icmp ult i64 %members, 4294967296
  br i1 %open, label %work, label %idle
work:
  %function = load ptr, ptr %task
  %arguments = load ptr, ptr %args
  call void %function(ptr %arguments, i64 %number)
  atomicrmw add ptr %finished, i64 1 release
  br label %idle
done:
  ret void
}
"""


def source() -> str:
    """The IR of the team's own functions."""
    words = "\n  ".join(f"%{name} = getelementptr i64, ptr %team, i64 {place}" for name, place in _WORDS.items())
    return _SOURCE.replace("WORDS", words)


def _functions() -> dict[str, Any]:
    """The team's functions, compiled or from disk, as ctypes calls that release the interpreter."""
    from . import cache
    from .native import compile_ir, host, load_functions

    text = source()
    key = cache.key("team", repr(host()), text)
    data = cache.load("team", key)
    if data is None:
        data = compile_ir(text)
        cache.store("team", key, data)
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    kinds = {
        "team_init": [pointer],
        "team_stop": [pointer],
        "team_work": [pointer, number],
        "team_run": [pointer, pointer, pointer, number],
    }
    addresses = load_functions(data, tuple(kinds))
    return {name: ctypes.CFUNCTYPE(None, *kinds[name])(address) for name, address in zip(kinds, addresses, strict=True)}


class Team:
    """`count` threads, of which the caller of `run` is one."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.functions = _functions()
        self._memory = (ctypes.c_int64 * (_SIZE + 8))()
        self.address = -(-ctypes.addressof(self._memory) // 64) * 64
        self.functions["team_init"](self.address)
        self.workers = [
            threading.Thread(
                target=self.functions["team_work"], args=(self.address, k), daemon=True, name=f"pullback-{k}"
            )
            for k in range(1, count)
        ]
        for worker in self.workers:
            worker.start()

    def run(self, entry: int, arguments: int, threads: int) -> None:
        """Run `entry(arguments, k)` on up to `threads` threads, k = 0 on this one; returns when all are done."""
        self.functions["team_run"](self.address, entry, arguments, threads)

    def stop(self) -> None:
        self.functions["team_stop"](self.address)
        for worker in self.workers:
            worker.join()


class _Shared:
    """The one team of this process, made when it is first needed."""

    def __init__(self) -> None:
        self.wanted = _default_count()
        self.reset()

    def reset(self) -> None:
        """Forget the team; what a fork leaves of it is memory without threads."""
        self.lock = threading.Lock()
        self.team: Team | None = None
        self.ended = False

    def acquire(self, threads: int) -> Team | None:
        """The team for one job, or None where the caller should work alone. Give it back with `release`."""
        if threads < 2 or self.ended or not self.lock.acquire(blocking=False):
            return None
        try:
            if self.team is not None and self.team.count != self.wanted:
                self.team.stop()
                self.team = None
            if self.team is None and self.wanted > 1:
                self.team = Team(self.wanted)
        except BaseException:
            self.lock.release()
            raise
        if self.team is None:
            self.lock.release()
        return self.team

    def release(self) -> None:
        self.lock.release()

    def end(self) -> None:
        """At exit of the interpreter, or before memory is judged: no thread stays in native code."""
        with self.lock:
            self.ended = True
            if self.team is not None:
                self.team.stop()
                self.team = None


def _default_count() -> int:
    """PULLBACK_NUM_THREADS, else the processors that this process may use; 1 where there are no POSIX threads."""
    given = os.environ.get("PULLBACK_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    if sys.platform == "win32":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_shared = _Shared()
atexit.register(_shared.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.reset)


def get_num_threads() -> int:
    """The number of threads that a large program runs on."""
    return _shared.wanted


def set_num_threads(count: int) -> None:
    """Run large programs on `count` threads from now on; results do not depend on it.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"the number of threads is a positive int, not {count!r}")
    if sys.platform == "win32":
        count = 1
    _shared.wanted = count


def acquire(most: int) -> tuple[Team, int] | None:
    """The team and the number of its threads for work in `most` chunks, or None where the caller works alone."""
    threads = min(_shared.wanted, most)
    if threads < 2:
        return None
    team = _shared.acquire(threads)
    return None if team is None else (team, threads)


def release() -> None:
    """Give the team back for the next call."""
    _shared.release()
