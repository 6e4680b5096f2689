"""The GPUs of a machine and what each needs, for `open-speech doctor`. The parsing is pure; `look` reads /sys and /dev."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VENDORS = {"10de": "NVIDIA", "1002": "AMD", "8086": "Intel"}
"""PCI vendor ids. Source: the PCI ID repository."""
DISPLAY_CLASS = "0x03"
"""PCI base class of display controllers, which GPUs without a display output have, too."""
_SMI_FIELDS = "name,memory.total,driver_version,pci.bus_id"
_SMI_LIMIT_S = 10
_CARD = re.compile(r"card\d+")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as the kernel lists it, with the name that its driver reports."""

    vendor: str
    """`NVIDIA`, `AMD`, `Intel`, or the PCI vendor id."""
    device_id: str
    """PCI vendor and device id, such as `10de:2684`."""
    slot: str
    """PCI address, such as `0000:01:00.0`; empty if it is unknown."""
    driver: str = ""
    """Kernel driver, such as `nvidia`, `amdgpu`, `i915` or `xe`; empty without one."""
    name: str = ""

    def __str__(self) -> str:
        return self.name if self.name.startswith(f"{self.vendor} ") else f"{self.vendor} {self.name or self.device_id}"


@dataclass(frozen=True, slots=True)
class Access:
    """What this process may use."""

    cuda: bool = False
    """NVIDIA's driver finds a device."""
    kfd: bool = False
    """/dev/kfd, ROCm's device, can be opened for reading and writing."""
    render: bool = False
    """A render node in /dev/dri can be opened for reading and writing."""
    ctranslate2_gpus: int = 0
    """Devices that the installed CTranslate2 finds: NVIDIA's, or AMD's in its build for ROCm."""


def from_pci(devices: Mapping[str, Mapping[str, str]]) -> list[Gpu]:
    """Return the GPUs among PCI devices, given by address: the texts of `class`, `vendor`, `device`, and the name of the `driver`."""
    found = []
    for slot, device in sorted(devices.items()):
        if not device.get("class", "").strip().startswith(DISPLAY_CLASS):
            continue
        vendor, model = (device.get(field, "").strip().lower().removeprefix("0x") for field in ("vendor", "device"))
        if vendor in VENDORS:  # not the display controllers of servers' management boards and of virtual machines
            found.append(Gpu(VENDORS[vendor], f"{vendor}:{model}", slot, device.get("driver", ""), device.get("product_name", "").strip()))
    return found


def from_nvidia_smi(output: str) -> dict[str, str]:
    """Return names by PCI address from the CSV of nvidia-smi, whose fields are name, memory, driver and address."""
    found = {}
    for row in csv.reader(output.splitlines(), skipinitialspace=True):
        if len(row) == len(_SMI_FIELDS.split(",")):
            name, memory, driver, address = row
            domain, _, rest = address.lower().partition(":")
            found[f"{domain[-4:]}:{rest}"] = f"{name}, {memory}, driver {driver}"
    return found


def gfx_names(properties: Iterable[str]) -> list[str]:
    """Return the targets of AMD's GPUs, such as `gfx1100`, from the `properties` of ROCm's topology; the CPU's node has the version 0."""
    versions = [int(found[1]) for text in properties if (found := re.search(r"^gfx_target_version (\d+)$", text, re.MULTILINE))]
    return [f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}" for version in versions if version]


def merged(gpus: Iterable[Gpu], names: Mapping[str, str]) -> list[Gpu]:
    """Return the GPUs with the names of nvidia-smi, and those that only it reports: a container need not see the PCI bus."""
    found = [Gpu(gpu.vendor, gpu.device_id, gpu.slot, gpu.driver, names.get(gpu.slot, gpu.name)) for gpu in gpus]
    known = {gpu.slot for gpu in found}
    return found + [Gpu("NVIDIA", "10de", slot, "nvidia", name) for slot, name in names.items() if slot not in known]


def needs(gpu: Gpu, access: Access) -> str:
    """Return what a GPU is used for, or what is missing for that."""
    if gpu.vendor == "NVIDIA":
        if access.cuda:
            return "used by Whisper with cuBLAS for CUDA 12; by Kokoro with the extra kokoro-torch"
        if gpu.driver == "nvidia":
            return "the driver is loaded, but its library was not found: in a container, use `--gpus all` or `--device nvidia.com/gpu=all`"
        return f"not used: install NVIDIA's driver{f' in place of {gpu.driver}' if gpu.driver else ''}"
    vulkan = "for Vulkan, run whisper.cpp's server and set STT_BACKENDS=upstream"
    if gpu.vendor == "AMD":
        if access.ctranslate2_gpus and not access.cuda:
            return "used by Whisper with CTranslate2's build for ROCm: STT_DEVICE=cuda"
        if not access.kfd:
            return f"not used: ROCm needs access to /dev/kfd and /dev/dri (the groups render and video); {vulkan}"
        return f"not used: install CTranslate2's build for ROCm, or use the image of `make image VARIANT=rocm`; {vulkan}"
    return f"not used: no engine here supports it directly; {vulkan}{'' if access.render else ', which needs access to /dev/dri'}"


def look(sys: Path = Path("/sys"), dev: Path = Path("/dev"), *, cuda: bool, ctranslate2_gpus: int) -> tuple[list[Gpu], Access]:
    """Return the GPUs of this machine and what may be used of them."""
    found = merged(from_pci(dict(_pci(sys))), from_nvidia_smi(_nvidia_smi()))
    targets = gfx_names(_texts(sys.glob("class/kfd/kfd/topology/nodes/*/properties")))
    amd = [gpu for gpu in found if gpu.vendor == "AMD"]
    if len(targets) == len(amd):
        named = {gpu.slot: f"{gpu.name or gpu.device_id} ({target})" for gpu, target in zip(amd, targets, strict=True)}
        found = [Gpu(gpu.vendor, gpu.device_id, gpu.slot, gpu.driver, named.get(gpu.slot, gpu.name)) for gpu in found]
    render = any(_usable(path) for path in dev.glob("dri/render*"))
    return found, Access(cuda, _usable(dev / "kfd"), render, ctranslate2_gpus)


def _pci(sys: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield PCI devices, those of /sys/class/drm if the bus itself is hidden."""
    folders = {folder.name: folder for folder in sys.glob("bus/pci/devices/*")}
    for card in sys.glob("class/drm/card*"):
        if _CARD.fullmatch(card.name) and (card / "device" / "vendor").is_file():
            folder = (card / "device").resolve()
            folders.setdefault(folder.name, folder)
    for slot, folder in folders.items():
        device = {name: text for name in ("class", "vendor", "device", "product_name") for text in _texts([folder / name])}
        driver = folder / "driver"
        yield slot, {"class": DISPLAY_CLASS} | device | ({"driver": driver.resolve().name} if driver.exists() else {})


def _texts(files: Iterable[Path]) -> Iterator[str]:
    for file in sorted(files):
        try:
            yield file.read_text(encoding="utf-8", errors="replace")
        except OSError:  # the kernel has no such file for this device
            continue


def _usable(device: Path) -> bool:
    return os.access(device, os.R_OK | os.W_OK)


def _nvidia_smi() -> str:
    """Return the output of nvidia-smi; empty where it is not installed or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, f"--query-gpu={_SMI_FIELDS}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SMI_LIMIT_S).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
