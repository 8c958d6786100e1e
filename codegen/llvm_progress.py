"""Loops that show how far they are: native code counts turns in words that a thread of the host reads meanwhile."""

from __future__ import annotations

# Three words a loop (see abi.PROGRESS), written by the first thread of the team.
SHOWING = """
define internal void @begin_progress(ptr %progress, i64 %place, i64 %turns, i64 %thread) #0 {
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %write, label %done
write:
  %word = getelementptr i64, ptr %progress, i64 %place
  %total = getelementptr i64, ptr %word, i64 1
  %begun = getelementptr i64, ptr %word, i64 2
  %before = load volatile i64, ptr %begun
  %after = add i64 %before, 1
  store volatile i64 0, ptr %word
  store volatile i64 %turns, ptr %total
  store volatile i64 %after, ptr %begun
  br label %done
done:
  ret void
}

define internal void @set_progress(ptr %progress, i64 %place, i64 %turn, i64 %thread) #0 {
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %write, label %done
write:
  %word = getelementptr i64, ptr %progress, i64 %place
  store volatile i64 %turn, ptr %word
  br label %done
done:
  ret void
}
"""
