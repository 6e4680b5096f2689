from __future__ import annotations

import os
from pathlib import Path

import pytest

from open_speech.cli._gpus import Access, Gpu, from_nvidia_smi, from_pci, gfx_names, look, merged, needs

NVIDIA = Gpu("NVIDIA", "10de:2684", "0000:01:00.0", "nvidia", "NVIDIA GeForce RTX 4090, 24564 MiB, driver 570.86.15")
AMD = Gpu("AMD", "1002:744c", "0000:03:00.0", "amdgpu")
INTEL = Gpu("Intel", "8086:56a0", "0000:04:00.0", "xe")
BUS = {
    "0000:04:00.0": {"class": "0x030000\n", "vendor": "0x8086\n", "device": "0x56A0\n", "driver": "xe"},
    "0000:00:02.0": {"class": "0x030000\n", "vendor": "0x1af4\n", "device": "0x1050\n", "driver": "virtio-pci"},
    "0000:01:00.0": {"class": "0x030200\n", "vendor": "0x10de\n", "device": "0x2684\n", "driver": "nvidia"},
    "0000:01:00.1": {"class": "0x040300\n", "vendor": "0x10de\n", "device": "0x22ba\n", "driver": "snd_hda_intel"},
    "0000:03:00.0": {"class": "0x038000\n", "vendor": "0x1002\n", "device": "0x744c\n", "driver": "amdgpu"},
    "0000:05:00.0": {"class": "0x030000\n"},
}
SMI = "NVIDIA GeForce RTX 4090, 24564 MiB, 570.86.15, 00000000:01:00.0\n"


def test_gpus_are_the_display_controllers_of_their_three_makers() -> None:
    assert from_pci(BUS) == [Gpu("NVIDIA", "10de:2684", "0000:01:00.0", "nvidia"), AMD, INTEL]
    assert from_pci({}) == []


def test_nvidia_smi_gives_a_gpu_its_name() -> None:
    assert merged(from_pci(BUS), from_nvidia_smi(SMI)) == [NVIDIA, AMD, INTEL]
    assert from_nvidia_smi("No devices were found\n") == from_nvidia_smi("") == {}


def test_a_gpu_that_only_nvidia_smi_reports_is_one() -> None:
    (only,) = merged([], from_nvidia_smi("NVIDIA H200, 143771 MiB, 570.86, 00000000:8A:00.0"))
    assert (str(only), only.slot) == ("NVIDIA H200, 143771 MiB, driver 570.86", "0000:8a:00.0")


def test_the_targets_of_rocm_are_named_as_its_libraries_are() -> None:
    texts = ["cpu_cores_count 16\ngfx_target_version 0\n", "simd_count 192\ngfx_target_version 110000\n", "gfx_target_version 90010\n"]
    assert gfx_names(texts) == ["gfx1100", "gfx90a"]
    assert gfx_names(["gfx_target_version 120001"]) == ["gfx1201"]


def test_what_a_gpu_is_called() -> None:
    assert str(NVIDIA).startswith("NVIDIA GeForce")
    assert str(AMD) == "AMD 1002:744c"


@pytest.mark.parametrize(
    ("gpu", "access", "words"),
    [
        (NVIDIA, Access(cuda=True, ctranslate2_gpus=1), "used by Whisper"),
        (NVIDIA, Access(), "--gpus all"),
        (Gpu("NVIDIA", "10de:1", "", "nouveau"), Access(), "driver in place of nouveau"),
        (Gpu("NVIDIA", "10de:1", ""), Access(), "install NVIDIA's driver"),
        (AMD, Access(kfd=True, render=True, ctranslate2_gpus=1), "STT_DEVICE=cuda"),
        (AMD, Access(kfd=True, render=True), "VARIANT=rocm"),
        (AMD, Access(render=True), "access to /dev/kfd"),
        (AMD, Access(cuda=True, kfd=True, ctranslate2_gpus=1), "not used"),  # what CTranslate2 finds is NVIDIA's
        (INTEL, Access(render=True), "whisper.cpp's server"),
        (INTEL, Access(), "needs access to /dev/dri"),
    ],
)
def test_each_gpu_is_told_what_it_needs(gpu: Gpu, access: Access, words: str) -> None:
    assert words in needs(gpu, access)


def test_a_machine_is_read_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # nvidia-smi of this machine is not asked
    sys, dev = tmp_path / "sys", tmp_path / "dev"
    pci, driver = sys / "devices/pci0000:00/0000:03:00.0", sys / "bus/pci/drivers/amdgpu"
    for folder in (pci, driver, sys / "bus/pci/devices", sys / "class/drm/card0", dev / "dri", sys / "class/kfd/kfd/topology/nodes/1"):
        folder.mkdir(parents=True)
    for name, text in {"class": "0x030000", "vendor": "0x1002", "device": "0x744c", "product_name": "Radeon RX 7900 XTX"}.items():
        (pci / name).write_text(text + "\n", encoding="utf-8")
    (pci / "driver").symlink_to(driver)
    (sys / "class/drm/card0/device").symlink_to(pci)
    (sys / "class/kfd/kfd/topology/nodes/1/properties").write_text("gfx_target_version 110000\n", encoding="utf-8")
    (dev / "kfd").touch()
    found, access = look(sys, dev, cuda=False, ctranslate2_gpus=0)
    assert [(str(gpu), gpu.slot, gpu.driver) for gpu in found] == [("AMD Radeon RX 7900 XTX (gfx1100)", "0000:03:00.0", "amdgpu")]
    assert access == Access(kfd=True)
    (sys / "bus/pci/devices/0000:03:00.0").symlink_to(pci)  # the same GPU on the bus
    (dev / "dri/renderD128").touch()
    found, access = look(sys, dev, cuda=False, ctranslate2_gpus=1)
    assert (len(found), access) == (1, Access(kfd=True, render=True, ctranslate2_gpus=1))


def test_nvidia_smi_is_asked_and_its_failure_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '{SMI}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin:/bin")
    assert [str(gpu) for gpu in look(tmp_path, tmp_path, cuda=True, ctranslate2_gpus=1)[0]] == [NVIDIA.name]
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n", encoding="utf-8")
    assert look(tmp_path, tmp_path, cuda=False, ctranslate2_gpus=0) == ([], Access())
