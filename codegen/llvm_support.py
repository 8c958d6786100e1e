"""What every module contains beside its kernels: sharing chunks among threads, meeting, and calling BLAS."""

SHARING = """
declare i32 @sched_yield()
declare i32 @usleep(i32)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)

; The team's words: [0] chunks taken, [8] members waiting, [16] meetings so far, [24] members who joined this job and a
; bit that closes it, [32] how many thread 0 then counted, itself included. Who wakes too late finds the job closed and
; stays out, so nobody waits for a thread that the system has not started yet.
define internal void @meet_all(ptr %args, i64 %thread) noinline #0 {
entry:
  %team.place = getelementptr i64, ptr %args, i64 4
  %team = load ptr, ptr %team.place
  %waiting = getelementptr i64, ptr %team, i64 8
  %meetings = getelementptr i64, ptr %team, i64 16
  %number = load atomic i64, ptr %meetings monotonic, align 8
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %lead, label %follow
lead:
  %counted.place = getelementptr i64, ptr %team, i64 32
  %counted = load i64, ptr %counted.place
  %known = icmp ne i64 %counted, 0
  br i1 %known, label %gather, label %close
close:
  %joined.place = getelementptr i64, ptr %team, i64 24
  %joined.before = atomicrmw or ptr %joined.place, i64 4294967296 acq_rel
  %joined = add i64 %joined.before, 1
  store i64 %joined, ptr %counted.place
  br label %gather
gather:
  %members = phi i64 [ %counted, %lead ], [ %joined, %close ]
  %others = add i64 %members, -1
  call void @wait_until(ptr %waiting, i64 %others)
  store atomic i64 0, ptr %waiting monotonic, align 8
  store atomic i64 0, ptr %team monotonic, align 8
  %next = add i64 %number, 1
  store atomic i64 %next, ptr %meetings release, align 8
  ret void
follow:
  %after = add i64 %number, 1
  atomicrmw add ptr %waiting, i64 1 acq_rel
  call void @wait_until(ptr %meetings, i64 %after)
  ret void
}

; Spin, then yield, then sleep: who waits long, such as for a matrix product, leaves the processor to BLAS.
define internal void @wait_until(ptr %place, i64 %value) #0 {
entry:
  br label %wait
wait:
  %turn = phi i64 [ 0, %entry ], [ %next, %spin ], [ %next, %yield ], [ %next, %sleep ]
  %seen = load atomic i64, ptr %place acquire, align 8
  %over = icmp eq i64 %seen, %value
  br i1 %over, label %done, label %more
more:
  %next = add i64 %turn, 1
  %fresh = icmp slt i64 %turn, 256
  br i1 %fresh, label %spin, label %rest
spin:
  call void asm sideeffect "PAUSE", ""()
  br label %wait
rest:
  %short = icmp slt i64 %turn, 1024
  br i1 %short, label %yield, label %sleep
yield:
  call i32 @sched_yield()
  br label %wait
sleep:
  call i32 @usleep(i32 20)
  br label %wait
done:
  ret void
}

; Wait for what thread 0 did alone.
define internal void @meet(ptr %args, ptr %pending, i64 %thread) #0 {
  %waiting = load i64, ptr %pending
  %idle = icmp eq i64 %waiting, 0
  br i1 %idle, label %done, label %wait
wait:
  call void @meet_again(ptr %args, i64 %thread)
  store i64 0, ptr %pending
  br label %done
done:
  ret void
}

define internal void @meet_again(ptr %args, i64 %thread) #0 {
  %place = getelementptr i64, ptr %args, i64 5
  %threads = load i64, ptr %place
  %alone = icmp sle i64 %threads, 1
  br i1 %alone, label %done, label %wait
wait:
  call void @meet_all(ptr %args, i64 %thread)
  br label %done
done:
  ret void
}

; Run %kernel over %rows rows in %chunks chunks of a multiple of %quantum rows. One chunk runs on thread 0, and the
; others wait only before they need what it wrote.
define internal void @run_chunks(ptr %kernel, ptr %args, ptr %bufs, ptr %pending, i64 %thread,
                                 i64 %rows, i64 %chunks, i64 %quantum) noinline #0 {
entry:
  %sizes = load ptr, ptr %args
  %error = getelementptr i64, ptr %args, i64 2
  %threads.place = getelementptr i64, ptr %args, i64 5
  %threads = load i64, ptr %threads.place
  %team.place = getelementptr i64, ptr %args, i64 4
  %team = load ptr, ptr %team.place
  %over = add i64 %chunks, -1
  %most = add i64 %rows, %over
  %even = sdiv i64 %most, %chunks
  %up = add i64 %quantum, -1
  %padded = add i64 %even, %up
  %parts = sdiv i64 %padded, %quantum
  %each = mul i64 %parts, %quantum
  %single = icmp eq i64 %chunks, 1
  br i1 %single, label %one, label %many
one:
  store i64 1, ptr %pending
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %run_one, label %done
run_one:
  call void %kernel(ptr %bufs, ptr %sizes, ptr %error, i64 0, i64 0, i64 %rows)
  ret void
many:
  %alone = icmp sle i64 %threads, 1
  br i1 %alone, label %next_alone, label %together
together:
  call void @meet(ptr %args, ptr %pending, i64 %thread)
  br label %next
next_alone:
  %number = phi i64 [ 0, %many ], [ %number.next, %turn_alone ]
  %more_alone = icmp slt i64 %number, %chunks
  br i1 %more_alone, label %turn_alone, label %done
turn_alone:
  %number.next = add i64 %number, 1
  call void @run_chunk(ptr %kernel, ptr %bufs, ptr %sizes, ptr %error, i64 %number, i64 %each, i64 %rows)
  br label %next_alone
next:
  %taken = atomicrmw add ptr %team, i64 1 monotonic
  %more = icmp slt i64 %taken, %chunks
  br i1 %more, label %turn, label %finish
turn:
  call void @run_chunk(ptr %kernel, ptr %bufs, ptr %sizes, ptr %error, i64 %taken, i64 %each, i64 %rows)
  br label %next
finish:
  call void @meet_all(ptr %args, i64 %thread)
  br label %done
done:
  ret void
}

define internal void @run_chunk(ptr %kernel, ptr %bufs, ptr %sizes, ptr %error, i64 %number, i64 %each, i64 %rows) #0 {
  %start = mul i64 %number, %each
  %past = icmp sgt i64 %start, %rows
  %lo = select i1 %past, i64 %rows, i64 %start
  %end = add i64 %lo, %each
  %long = icmp sgt i64 %end, %rows
  %hi = select i1 %long, i64 %rows, i64 %end
  call void %kernel(ptr %bufs, ptr %sizes, ptr %error, i64 %number, i64 %lo, i64 %hi)
  ret void
}

define internal void @set_index(ptr %place, i64 %value, ptr %pending, i64 %thread) #0 {
  store i64 1, ptr %pending
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %write, label %done
write:
  store volatile i64 %value, ptr %place
  br label %done
done:
  ret void
}

define internal void @run_copy(ptr %target, ptr %source, i64 %length, ptr %args, ptr %pending, i64 %thread) #0 {
  store i64 1, ptr %pending
  %first = icmp eq i64 %thread, 0
  %moved = icmp ne ptr %target, %source
  %go = and i1 %first, %moved
  br i1 %go, label %write, label %done
write:
  call void @llvm.memmove.p0.p0.i64(ptr %target, ptr %source, i64 %length, i1 false)
  br label %done
done:
  ret void
}
"""

# target = op(A) @ op(B), row-major: BLAS, which is column-major, computes the transpose, op(B)' @ op(A)'.
# A matrix times a vector is gemv.
_GEMM = """
define internal void @run_GEMM(ptr %c, ptr %a, ptr %b, i64 %m, i64 %n, i64 %k, i64 %batch,
                              i64 %stride_a, i64 %stride_b, i64 %stride_c, i1 %trans_a, i1 %trans_b,
                              ptr %blas, ptr %args, ptr %pending, i64 %thread) noinline #0 {
entry:
  store i64 1, ptr %pending
  %letters = alloca [4 x i8]
  %ints = alloca [8 x i32]
  %scalars = alloca [2 x TYPE]
  %first = icmp eq i64 %thread, 0
  %mn = mul i64 %m, %n
  %any = icmp sgt i64 %mn, 0
  %go = and i1 %first, %any
  br i1 %go, label %prepare, label %done
prepare:
  %letter_b = select i1 %trans_b, i8 84, i8 78
  %letter_a = select i1 %trans_a, i8 84, i8 78
  %letter_v = select i1 %trans_a, i8 78, i8 84
  %place_la = getelementptr i8, ptr %letters, i64 1
  %place_lv = getelementptr i8, ptr %letters, i64 2
  store i8 %letter_b, ptr %letters
  store i8 %letter_a, ptr %place_la
  store i8 %letter_v, ptr %place_lv
  %ldb_raw = select i1 %trans_b, i64 %k, i64 %n
  %lda_raw = select i1 %trans_a, i64 %m, i64 %k
  %rows_v = select i1 %trans_a, i64 %m, i64 %k
  %cols_v = select i1 %trans_a, i64 %k, i64 %m
  %ldb = call i64 @llvm.smax.i64(i64 %ldb_raw, i64 1)
  %lda = call i64 @llvm.smax.i64(i64 %lda_raw, i64 1)
  STORES
  %one = getelementptr TYPE, ptr %scalars, i64 1
  store TYPE 0.0, ptr %scalars
  store TYPE 1.0, ptr %one
  %gemm.place = getelementptr ptr, ptr %blas, i64 GEMM_SLOT
  %gemv.place = getelementptr ptr, ptr %blas, i64 GEMV_SLOT
  %gemm = load ptr, ptr %gemm.place
  %gemv = load ptr, ptr %gemv.place
  %narrow = icmp eq i64 %n, 1
  %deep = icmp sgt i64 %k, 0
  %vector = and i1 %narrow, %deep
  br label %head
head:
  %i = phi i64 [ 0, %prepare ], [ %i.next, %next ]
  %more = icmp slt i64 %i, %batch
  br i1 %more, label %turn, label %done
turn:
  %step_a = mul i64 %i, %stride_a
  %step_b = mul i64 %i, %stride_b
  %step_c = mul i64 %i, %stride_c
  %pa = getelementptr TYPE, ptr %a, i64 %step_a
  %pb = getelementptr TYPE, ptr %b, i64 %step_b
  %pc = getelementptr TYPE, ptr %c, i64 %step_c
  br i1 %vector, label %by_vector, label %by_matrix
by_vector:
  call void %gemv(ptr %place_lv, ptr %int_rows_v, ptr %int_cols_v, ptr %one, ptr %pa, ptr %int_rows_v,
                   ptr %pb, ptr %int_one, ptr %scalars, ptr %pc, ptr %int_one)
  br label %next
by_matrix:
  call void %gemm(ptr %letters, ptr %place_la, ptr %int_n, ptr %int_m, ptr %int_k,
                   ptr %one, ptr %pb, ptr %int_ldb, ptr %pa, ptr %int_lda, ptr %scalars, ptr %pc, ptr %int_n)
  br label %next
next:
  %i.next = add i64 %i, 1
  br label %head
done:
  ret void
}
"""


def _gemm(letter: str, kind: str, slots: tuple[int, int]) -> str:
    stores = []
    for k, name in enumerate(("m", "n", "k", "lda", "ldb", "rows_v", "cols_v", "one")):
        value = "1" if name == "one" else f"%int_{name}.value"
        if name != "one":
            stores.append(f"%int_{name}.value = trunc i64 %{name} to i32")
        stores += [f"%int_{name} = getelementptr i32, ptr %ints, i64 {k}", f"store i32 {value}, ptr %int_{name}"]
    text = _GEMM.replace("STORES", "\n  ".join(stores)).replace("run_GEMM", f"run_{letter}gemm").replace("TYPE", kind)
    return text.replace("GEMM_SLOT", str(slots[0])).replace("GEMV_SLOT", str(slots[1]))


GEMM = _gemm("d", "double", (0, 2)) + _gemm("s", "float", (1, 3))
