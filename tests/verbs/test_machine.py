import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from tessera.verbs import machine as module
from tessera.verbs.machine import chosen_device, commit, fast_bfloat16, machine, peak_megabytes, versions


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert chosen_device("auto") == device


def test_a_device_that_can_be_used_is_itself():
    assert chosen_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99"])
def test_a_device_that_cannot_be_used_is_refused(device):
    with pytest.raises(
        ValueError, match=rf"device: '{device}': .+; auto, cpu, and cuda where it is there are accepted; leave it at auto"
    ) as told:
        chosen_device(device)
    assert len(str(told.value).splitlines()) == 1


def test_bfloat16_is_fast_where_the_processor_has_instructions_for_it(monkeypatch):
    for avx512 in (False, True):
        for amx in (False, True):
            monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx512=avx512: avx512)
            monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
            assert fast_bfloat16("cpu") == (avx512 or amx)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert fast_bfloat16("cuda") and fast_bfloat16("cuda:1") and not fast_bfloat16("mps")


@pytest.mark.parametrize("platform, megabytes", [("linux", 3 * 1024), ("darwin", 3)])
def test_the_peak_is_in_megabytes_whatever_the_system_counts_in(monkeypatch, platform, megabytes):
    resource = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=3 * 2**20))
    monkeypatch.setitem(sys.modules, "resource", resource)
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform=platform))
    assert peak_megabytes("cpu") == megabytes


def test_the_peak_never_falls():
    before = peak_megabytes("cpu")
    held = torch.ones(2**21)
    during = peak_megabytes("cpu")
    del held
    assert 0 < before <= during <= peak_megabytes("cpu")


def test_the_peak_of_a_gpu_is_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {"cuda": 3 * 2**20, "cuda:0": 3 * 2**20, "cuda:1": 5 * 2**20}.get)
    assert peak_megabytes("cuda") == peak_megabytes("cuda:0") == 3.0 and peak_megabytes("cuda:1") == 5.0


def test_the_peak_is_unknown_where_the_system_does_not_say(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_megabytes("cpu") == 0.0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_kept_memory_is_not_taken_anew():
    program = """
import resource, torch
from tessera.verbs.machine import give_back_memory, keep_memory
keep_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    before = faults()
    for _ in range(3):
        torch.ones(2**20)
    return faults() - before
first, again = work(), work()
give_back_memory()
print(first, again, work())
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment).stdout
    first, again, given_back = map(int, said.split())
    assert again < first / 4 and given_back > 4 * again  # 4 MB are a thousand pages


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the file in a repository of its own, from where the module believes to run; and a way to call git there."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # a hook's variables would lead git to another repository
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    file = tmp_path / "src" / "verbs" / "machine.py"
    file.parent.mkdir(parents=True)
    file.write_text("# a copy\n")
    monkeypatch.setattr(module, "__file__", str(file))

    def git(*words: str) -> str:
        known = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", "-C", tmp_path, *known, *words], capture_output=True, text=True, check=True).stdout.strip()

    return file, git


def test_the_commit_is_that_of_the_source_and_marked_where_files_differ(checkout):
    file, git = checkout
    assert commit() == "", "in no checkout"
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "something else")
    assert commit() == "", "in a checkout of somebody else's, which does not know it"
    git("add", "--all")
    git("commit", "--quiet", "--message", "a copy")
    head = git("rev-parse", "HEAD")
    assert commit() == head[:12]
    (file.parent.parent.parent / "notes.txt").write_text("beside the source")
    assert commit() == head[:12]
    file.write_text("# changed\n")
    assert commit() == head[:12] + "+"


def test_without_git_there_is_no_commit(monkeypatch):
    def missing(*words, **how):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert commit() == ""


def test_the_machine_and_the_versions_are_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = machine()
    assert found["cores"] == os.cpu_count() and found["accelerator"] == "" and found["platform"] and found["processor"]
    assert versions().keys() == {"python", "torch", "numpy", "safetensors", "tokenizers"}
    assert versions()["torch"] == torch.__version__ and sys.version.startswith(versions()["python"])
