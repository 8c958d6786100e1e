"""What the README shows is what happens: its code runs as it stands and prints what stands below it.

`python tests/test_readme.py` writes what the code prints today into the README.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PATHS = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"`([\w./]+/[\w.]+\.\w+)`", README)


def run_examples(text: str) -> str:
    """Return `text` with what each block of Python prints in the block of text that follows it."""
    scope: dict = {}

    def run(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block[1], "README.md", "exec"), scope)
        lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
        return "\n".join([f"```python\n{block[1]}```", "```text", *lines, "```"])

    return re.sub(r"```python\n(.*?)```\n```text\n.*?```", run, text, flags=re.DOTALL)


def test_examples_print_what_is_shown():
    assert README.count("```text") == 5
    assert run_examples(README) == README


def test_two_set_up_commands_of_one_line_each():
    commands = [line for text in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL) for line in text.splitlines()]
    for end in ("examples/digits.py", "tests"):
        (command,) = [command for command in commands if command.endswith(end)]
        assert shlex.split(command)[:4] == ["python3", "-m", "venv", ".venv"]


def test_what_it_is_takes_four_bullets():
    head = README.partition("\n## ")[0]
    assert len(re.findall(r"^\* ", head, flags=re.MULTILINE)) == 4


def test_how_it_works_takes_twelve_lines():
    body = re.search(r"\n## How it works\n\n(.*?)\n\n## ", README, flags=re.DOTALL)
    assert body is not None
    assert len(body[1].splitlines()) == 12


@pytest.mark.parametrize("path", PATHS)
def test_files_that_it_names_exist(path):
    assert (ROOT / path).exists()


if __name__ == "__main__":
    (ROOT / "README.md").write_text(run_examples(README))
