"""The tree, the wheel, the floors and what an import costs."""

import ast
import doctest
import importlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("dsl", "codegen", "kernels")
MODULES = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
           for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
SOURCES = {**MODULES, "__init__": ROOT / "__init__.py", "__main__": ROOT / "__main__.py"}
HEAVY = ("sympy", "numba", "llvmlite", "cupy", "scipy", "matplotlib", "dask")
ONLY_IN_KERNELS = {"numba", "llvmlite", "cupy", "cuda", "ctypes", "dask", "torch", "jax"}
GENERATED = {"dsl.partials"}                     # written by `python -m pullback.dsl.derive`


def imports(path: Path, module: str) -> list[tuple[str, bool]]:
    """The modules that a file imports, absolute names, each with whether it happens when the file is imported."""
    tree = ast.parse(path.read_text())
    late = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(node)}
    typing_only = {id(inner) for node in ast.walk(tree)
                   if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
                   for inner in ast.walk(node)}
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in typing_only:
            found += [(alias.name, id(node) not in late) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and id(node) not in typing_only:
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{stem}.{alias.name}".lstrip(".")
                found.append((full if full in MODULES or not stem else stem, id(node) not in late))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module):
    failed, _ = doctest.testmod(importlib.import_module(f"pullback.{module}"), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def lowest_floor(name: str) -> int | None:
    head = name.split(".")[0]
    return FLOORS.index(head) if head in FLOORS else None


def test_floors_import_down_only():
    wrong = [(module, name) for module, path in MODULES.items() for name, _ in imports(path, module)
             if (lowest_floor(name) or 0) > FLOORS.index(module.split(".")[0])]
    assert wrong == []


def test_device_libraries_stay_in_kernels():
    wrong = [(module, name) for module, path in MODULES.items() if not module.startswith("kernels")
             for name, _ in imports(path, module) if name.split(".")[0] in ONLY_IN_KERNELS]
    assert wrong == []


def test_dsl_imports_little_and_sympy_lazily():
    allowed = {"numpy", "sympy", "optree", "opt_einsum", "mpmath", "scipy"}
    wrong = []
    for module, path in MODULES.items():
        for name, at_import in imports(path, module):
            head = name.split(".")[0]
            foreign = head not in sys.stdlib_module_names and head not in FLOORS
            early = at_import and head not in ("numpy", "optree")
            if module.startswith("dsl") and foreign and (early or head not in allowed):
                wrong.append((module, name))
    assert wrong == []


def test_no_import_cycle():
    graph = {module: {name for name, at_import in imports(path, module) if at_import and name in MODULES}
             for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for name in graph[module]:
                visit(name, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_absolute_import_of_itself():
    wrong = [(module, name) for module, path in SOURCES.items() for name, _ in imports(path, module)
             if name.split(".")[0] == "pullback"]
    assert wrong == []


def test_files_are_short():
    long = {module: lines for module, path in SOURCES.items() if module not in GENERATED
            and (lines := path.read_text().count("\n")) > 430}
    assert long == {}


def test_functions_are_short():
    long = {f"{module}.{node.name}": node.end_lineno - node.lineno + 1
            for module, path in SOURCES.items() if module not in GENERATED
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 60}
    assert long == {}


def test_no_utils():
    assert [module for module in MODULES if "util" in module or "helper" in module] == []


def test_top_level():
    required = {"pyproject.toml", "README.md", "LICENSE", "__init__.py", "__main__.py", "dsl", "codegen", "kernels",
                "tests", "benchmarks", "examples", ".ci", ".github"}
    present = {path.name for path in ROOT.iterdir()}
    assert required <= present
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
    assert not list(ROOT.glob("tests/__init__.py")) + list(ROOT.glob("benchmarks/__init__.py"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel of a copy of the tree, so that nothing built earlier gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder / "tree", ignore=ignore)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    done = subprocess.run([*pip, str(folder / "tree")], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {f"pullback/{path.relative_to(ROOT).as_posix()}" for path in SOURCES.values()}
    assert names == {*expected, "pullback/py.typed"}


def test_wheel_names_licence_version_and_extras(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    text = wheel.read(name).decode()
    assert "License-Expression: BSD-3-Clause" in text
    assert "Requires-Python: >=3.11" in text
    for extra in ("cuda", "cuda-ctk", "cuda-check", "examples", "bench", "test"):
        assert f"Provides-Extra: {extra}\n" in text


def run_python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy(tmp_path):
    code = f"import sys, pullback; print(sorted(set({HEAVY}) & set(sys.modules)))"
    assert run_python(code, tmp_path) == "[]"


def test_import_waits_for_no_part_that_most_programs_do_without(tmp_path):
    """Its time is in the benchmarks; here is what it takes: modules."""
    code = "import sys, pullback; print(*[m for m in sys.modules if m.startswith('pullback')])"
    loaded = set(run_python(code, tmp_path).split())
    late = {f"pullback.{name}" for name in MODULES if re.match(
        r"dsl.(fft|linalg|ode|implicit|newton|krylov|.*sympy|smoothness|spars|coloring|checking)"
        r"|codegen.(llvm|cuda|plan|fuse|numba)|kernels.(doctor|artefact|cuda|nvrtc)", name)}
    assert len(late) > 40
    assert late & loaded == set()
    assert len(loaded) < 120


def test_import_starts_no_thread_and_reads_no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE_DIR", str(tmp_path / "cache"))
    assert run_python("import threading, pullback; print(threading.active_count())", tmp_path) == "1"
    assert not (tmp_path / "cache").exists()


def test_public_names_are_listed_and_exist(tmp_path):
    code = "import pullback; print([n for n in pullback.__all__ if not hasattr(pullback, n)], bool(pullback.__all__))"
    assert run_python(code, tmp_path) == "[] True"
