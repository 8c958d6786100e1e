"""The steps of a program as rows of a table: the steps of a loop or branch are set in below it."""

from __future__ import annotations

from collections.abc import Sequence

from ..codegen.cost import cost_of
from ..codegen.lanes import lanes_of
from ..codegen.memory import buffer_bytes, residuals, touched
from ..codegen.program import Branch, Kernel, Library, Loop, Program, Step, walk_steps
from ..dsl.size import Size, render

Row = tuple[str, str, str, str, str, str]
FORMS = {
    "native": "native: a loop of compiled steps; a turn enters no Python, allocates nothing and copies no state",
    "lanes": "lanes: a block of rows takes all turns before the next block begins, so its states stay in the cache",
}


def step_rows(program: Program) -> list[Row]:
    """Name, mathematics, what is fused, launches, bytes and flops of every step, outer before inner."""
    return _Rows(program).of(program.steps, 0)


def about_loops(program: Program) -> list[str]:
    """What the words in the rows of loops mean."""
    found = {form_of(program, s).partition(",")[0] for s in walk_steps(program.steps) if isinstance(s, Loop)}
    return [text for form, text in FORMS.items() if form in found]


def form_of(program: Program, loop: Loop) -> str:
    """The form in which a loop runs on the CPU, and why not in lanes."""
    why = lanes_of(program, loop)
    if not isinstance(why, str):
        return "lanes"
    around = [s for s in program.steps if isinstance(s, Loop) and any(inner is loop for inner in walk_steps(s.steps))]
    return form_of(program, around[0]).partition(",")[0] if around else f"native, as {why}"


class _Rows:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.kept = [name for _, name in residuals(program)]

    def of(self, steps: Sequence[Step], depth: int) -> list[Row]:
        rows = []
        for step in steps:
            rows += self._own(step, depth)
            if isinstance(step, Loop):
                rows += self.of(step.test + step.steps, depth + 1)
            elif isinstance(step, Branch):
                for number, branch in enumerate(step.branches):
                    name = "  " * (depth + 1) + f"case {number}"
                    rows.append((name, "" if branch else "nothing to do", "", "", "", ""))
                    rows += self.of(branch, depth + 2)
        return rows

    def _own(self, step: Step, depth: int) -> list[Row]:
        cost = cost_of(self.program, step)
        fuses, launches, each = "", "", ""
        lines = list(step.title)
        if isinstance(step, Kernel):
            fuses, launches = ", ".join(step.fuses), str(1 + len(step.combine))
        elif isinstance(step, Library):
            fuses, launches = step.routine, "1"
        elif isinstance(step, Loop):
            fuses, lines = form_of(self.program, step), [*step.title[:1], *self._stored(step)]
            each = "" if isinstance(step.count, (int, Size)) else " a turn"
        else:
            lines = [f"one of {len(step.branches)}, by {line}" for line in lines]
        head, *more = [_short(line) for line in lines] or [""]
        name = "  " * depth + step.name
        first = (name, head, _short(fuses, 48), launches, render(cost.bytes) + each, render(cost.flops) + each)
        return [first, *(("", line, "", "", "", "") for line in more)]

    def _stored(self, loop: Loop) -> list[str]:
        """What a loop stores for its reverse and why, or what a reverse gets the past from."""
        lines = [f"keeps {name}, {what}: {render(buffer_bytes(self.program.buffers[name]))} bytes"
                 for name, what in loop.keeps if name in self.kept]
        if lines and len(loop.title) > 1:
            lines.append(f"because {loop.title[1]}")
        if loop.backwards and not lines:
            again = [s.name for s in walk_steps(loop.steps) if isinstance(s, Loop) and not s.backwards]
            read = [name for name in self.kept if name in touched(loop)]
            alone = any(s is loop for s in self.program.steps)       # the loop around it reads for one inside
            said = f"reads {', '.join(read)}" if read else "reads no past state" if alone else ""
            lines = [*filter(None, [said]), *([f"runs turns again: {', '.join(again)}"] if again else [])]
        return lines


def _short(text: str, width: int = 72) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
