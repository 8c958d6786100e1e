"""Every form of kernel compiles to machine code for sm_90 without register spills; no GPU takes part."""

import builtins
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import joined  # noqa: E402
from programs import examples, full_sum, softmax  # noqa: E402

from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.dsl.errors import CompileError, DeviceError  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

needs_nvrtc = pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")


@needs_nvrtc
@pytest.mark.parametrize("index", ["int", "long long"])
def test_every_example_compiles_without_spills(index):
    texts = [write_cuda(program, index).text for program, *_ in examples().values()]
    cubin = nvrtc.compile_text(joined(texts))
    assert cubin.data[:4] == b"\x7fELF"
    assert len(cubin.footprints) == sum(text.count("__global__") for text in texts)
    for name, footprint in cubin.footprints.items():
        assert footprint.registers > 0
        assert footprint.spill_stores == footprint.spill_loads == 0, name


@needs_nvrtc
def test_names_and_footprints_of_one_text():
    footprints = nvrtc.compile_text(write_cuda(full_sum()).text).footprints
    assert set(footprints) == {"k0", "k0_combine"}
    assert footprints["k0"].shared == 32 * 8


@needs_nvrtc
def test_the_second_time_comes_from_the_cache(monkeypatch):
    text = write_cuda(softmax()).text
    first = nvrtc.compile_text(text)
    binding = nvrtc._binding()
    monkeypatch.setattr(
        nvrtc, "_binding", lambda: nvrtc._Binding(binding.version, lambda *_: pytest.fail("compiled again"))
    )
    assert nvrtc.compile_text(text) == first


def test_the_key_of_the_cache_is_text_architecture_options_and_version(tmp_path, monkeypatch):
    """Anything else than the same four is compiled again; the same four never."""
    monkeypatch.setenv("PULLBACK_CACHE_DIR", str(tmp_path))
    compiled = []

    def binding(version):
        def compile_(text, options):
            compiled.append((text, options, version))
            return b"code", "log"

        return lambda: nvrtc._Binding(version, compile_)

    monkeypatch.setattr(nvrtc, "_binding", binding("13.0"))
    for _ in range(2):
        for text, arch in (("a", "sm_90"), ("b", "sm_90"), ("a", "sm_80")):
            assert nvrtc.compile_text(text, arch) == nvrtc.Cubin(b"code", arch, "log")
    assert len(compiled) == 3
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "-lineinfo"))
    nvrtc.compile_text("a", "sm_90")
    monkeypatch.setattr(nvrtc, "_binding", binding("13.1"))
    nvrtc.compile_text("a", "sm_90")
    assert len(compiled) == len(set(compiled)) == 5


@needs_nvrtc
def test_a_refused_text_is_a_compile_error():
    with pytest.raises(CompileError, match="identifier"):
        nvrtc.compile_text('extern "C" __global__ void k() { nothing(); }')


def test_without_nvrtc_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kw):
        if name.startswith(("cuda", "cupy_backends")):
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kw)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DeviceError, match=r"pip install 'pullback\[cuda-check\]'"):
        nvrtc.compile_text("")
    assert nvrtc.nvrtc_version() is None
