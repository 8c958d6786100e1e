"""What the README shows is what happens: its code runs as it stands and prints what stands below it."""

import re
import shlex
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def test_two_set_up_commands_of_one_line_each():
    commands = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
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


def test_example_prints_what_is_shown(capsys):
    scope: dict = {}
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds.count("python") >= 2 and kinds.count("text") >= 2
    for (kind, code), (following, shown) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if kind == "python":
            exec(compile(code, "README.md", "exec"), scope)
            printed = capsys.readouterr().out
            if following == "text":
                assert [line.rstrip() for line in printed.rstrip().splitlines()] == shown.splitlines()


PATHS = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"`([\w./]+/[\w.]+\.\w+)`", README)


@pytest.mark.parametrize("path", PATHS)
def test_files_that_it_names_exist(path):
    assert (Path(__file__).resolve().parents[1] / path).exists()
