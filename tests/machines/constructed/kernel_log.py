"""Machines whose kernel log tells what is wrong, and healthy ones whose log looks bad, or cannot be read."""

from __future__ import annotations

from gpucheck.host import Result
from gpucheck.probes import kernel_log, pci
from tests.machines.constructed.basics import H100, H100_KERNEL, REGISTERED, T4, T4_KERNEL, WORKING
from tests.machines.constructed.hardware import A100X8
from tests.machines.parts import Described, done

BOOTED = {
    H100_KERNEL: "[    0.000000] Linux version 6.8.0-60-generic (buildd@host) (gcc 13.3.0) #63-Ubuntu SMP\n"
    "[   21.402113] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  590.48.01  Release Build\n",
    T4_KERNEL: "[    0.000000] Linux version 5.15.0-91-generic (buildd@host) (gcc 11.4.0) #101-Ubuntu SMP\n"
    "[    9.120044] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  525.89.02  Wed Feb  1 23:23:25 UTC 2023\n",
}
DESKTOP = (
    "[    0.000000] Linux version 6.8.0-60-generic (buildd@host) (gcc 13.3.0) #63-Ubuntu SMP\n"
    "[    4.811840] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build\n"
)
REFUSED = Result(code=1, out="", err="dmesg: read kernel buffer failed: Operation not permitted\n")
NOTHING = Result(code=0, out="", err="")  # journalctl -q, of a user who is in neither adm nor systemd-journal
GPU2 = "PCI:0000:52:00"
UUID = f"NVRM: GPU at {GPU2}: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7\n"
LOST = Described(
    files={f"{pci.DEVICES}/0000:52:00.0/{name}": None for name in ("current_link_speed", "current_link_width")},
    nvml_changes={"ret.*.2": 15},
)
ACTION = "GPU recovery action changed from 0x0 (None)"
NO_GPU = Described(nvml_changes={"count": 0})  # "No devices were found"


def log(text: str) -> Described:
    return Described(runs={kernel_log.DMESG: done(text)})


def h100(lines: str) -> Described:
    return H100 | log(BOOTED[H100_KERNEL] + lines)


def desktop(lines: str) -> Described:
    return WORKING | REGISTERED | log(DESKTOP + lines) | NO_GPU


MACHINES: dict[str, Described] = {
    # --- off the bus, in both forms; the kernel is too old to tell it in sysfs ---
    "gpu-off-the-bus-xid-79": h100(
        f"[81204.551208] {UUID}"
        f"[81204.551212] NVRM: Xid ({GPU2}): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n"
        "[81204.551214] NVRM: GPU 0000:52:00.0: GPU has fallen off the bus.\n"
        f"[81204.560915] NVRM: Xid ({GPU2}): 154, {ACTION} to 0x2 (Node Reboot Required)\n"
    )
    | LOST,
    "gpu-off-the-bus-without-xid": desktop(
        "[    5.559842] NVRM: The NVIDIA GPU 0000:01:00.0\n"
        "               NVRM: (PCI ID: 10de:2684) installed in this system has\n"
        "               NVRM: fallen off the bus and is not responding to commands.\n"
        "[    5.559901] nvidia 0000:01:00.0: probe with driver nvidia failed with error -1\n"
    )
    | Described(
        files={f"{pci.DEVICES}/0000:01:00.0/{name}": None for name in ("current_link_speed", "current_link_width")}
    ),
    # --- the driver does not start the GPU ---
    "power-cables-missing": desktop(
        "[    5.901155] NVRM: GPU 0000:01:00.0: GPU does not have the necessary power cables connected.\n"
        "[    5.901862] NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x24:0x1c:1568)\n"
        "[    5.902310] NVRM: GPU 0000:01:00.0: rm_init_adapter failed, device minor number 0\n"
    ),
    "gsp-firmware-fails": desktop(
        "[   84.810006] NVRM: _kgspBootGspRm: unexpected WPR2 already up, cannot proceed with booting GSP\n"
        "[   84.810007] NVRM: _kgspBootGspRm: (the GPU is likely in a bad state and may need to be reset)\n"
        "[   84.810046] NVRM: RmInitAdapter: Cannot initialize GSP firmware RM\n"
        "[   84.811879] NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x62:0x40:1941)\n"
        "[   84.813774] NVRM: GPU 0000:01:00.0: rm_init_adapter failed, device minor number 0\n"
    ),
    "adapter-does-not-initialise": desktop(
        "[  885.242168] NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x24:0x72:1568)\n"
        "[  885.242457] NVRM: GPU 0000:01:00.0: rm_init_adapter failed, device minor number 0\n"
        "[  926.232044] NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x24:0x72:1568)\n"
    ),
    # --- Xids ---
    "xid-119-gsp-timeout": h100(
        f"[70011.220031] {UUID}"
        f"[70011.220040] NVRM: Xid ({GPU2}): 119, pid=5220, name=python3, Timeout after 45s of waiting for RPC "
        "response from GPU2 GSP! Expected function 76 (GSP_RM_CONTROL) (0x208f1105 0x8).\n"
        f"[70012.101512] NVRM: Xid ({GPU2}): 154, {ACTION} to 0x1 (GPU Reset Required)\n"
    )
    | Described(nvml_changes={"ret.*.2": 999}),
    "xid-48-memory-error": h100(
        f"[80012.330001] {UUID}"
        f"[80012.330009] NVRM: Xid ({GPU2}): 48, pid=91220, name=python3, An uncorrectable double bit error (DBE) has "
        "been detected on GPU in the framebuffer at partition 3, subpartition 1.\n"
        f"[80012.341150] NVRM: Xid ({GPU2}): 45, pid=91220, name=python3, Ch 00000008\n"
    )
    | Described(nvml_changes={"gpu.2.ecc_volatile": "0 1", "gpu.2.ecc_aggregate": "0 1", "gpu.2.field.230": 1}),
    # The same on a driver that has no Xid 154; `nvidia-smi --gpu-reset` since then left no line in the log.
    "xid-48-then-gpu-reset": A100X8
    | log(
        f"{BOOTED[H100_KERNEL].splitlines()[0]}\n"
        "[   19.402113] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  550.163.01  Release Build\n"
        "[80012.330009] NVRM: Xid (PCI:0000:47:00): 48, pid=91220, name=python3, An uncorrectable double bit error "
        "(DBE) has been detected on GPU in the framebuffer at partition 3, subpartition 1.\n"
    )
    | Described(nvml_changes={"gpu.field.230": None, "gpu.2.ecc_aggregate": "0 1"}),
    "xid-64-remap-failed": h100(
        f"[80100.000127] NVRM: Xid ({GPU2}): 64, pid=91220, name=python3, Row Remapper: Fatal error, "
        "unable to remap row\n"
    )
    | Described(nvml_changes={"gpu.2.field.230": 1}),
    "xid-94-contained": h100(
        f"[80100.000127] NVRM: Xid ({GPU2}): 94, pid=91220, name=python3, Contained: CE User Channel (0x9). "
        "RST: No, D-RST: No\n"
        f"[80100.000204] NVRM: Xid ({GPU2}): 63, pid=91220, name=python3, Row Remapper: New row marked for remapping, "
        "reset gpu to activate.\n"
    ),
    "xid-74-nvlink": h100(
        f"[71000.431111] NVRM: Xid ({GPU2}): 74, pid=91220, name=python3, NVLink: fatal error detected on link 6"
        "(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)\n"
        "[71000.439215] nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 20034, Fatal, Link 30 LTSSM Fault Up\n"
        "[71000.439219] nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 20034, Severity 1 Engine instance 30 Sub-engine "
        "instance 00\n"
        "[71000.439224] nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 20034, Data {0x00140004, 0x00000000, 0x00000000}\n"
    ),
    "xid-154-asks-for-reboot": h100(
        f"[70000.100000] NVRM: Xid ({GPU2}): 31, pid=812, name=python3, Ch 0000000b, intr 00000000. MMU Fault: ENGINE "
        "CE2 HUBCLIENT_CE2 faulted @ 0x7f81_d0ab1000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE\n"
        f"[70000.100991] NVRM: Xid ({GPU2}): 154, {ACTION} to 0x2 (Node Reboot Required)\n"
    ),
    "pcie-errors": h100(
        "".join(
            f"[{61000 + n}.204411] nvidia 0000:52:00.0: PCIe Bus Error: severity=Correctable, type=Physical Layer, "
            "(Receiver ID)\n"
            f"[{61000 + n}.204414] nvidia 0000:52:00.0:   device [10de:2330] error status/mask=00000001/0000e000\n"
            for n in range(40)
        )
    ),
    # --- healthy, whatever the log looks like ---
    "xid-31-of-a-program": T4
    | log(
        BOOTED[T4_KERNEL]
        + "[88001.331200] NVRM: GPU at PCI:0000:00:1e: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7\n"
        + "".join(
            f"[{88001 + n}.331207] NVRM: Xid (PCI:0000:00:1e): 31, pid=4711, name=python3, Ch 00000010, intr 10000000. "
            "MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f2e_04687000. "
            "Fault is of type FAULT_PDE ACCESS_TYPE_READ\n"
            for n in range(12)
        )
    ),
    "xid-63-remapped": h100(
        f"[1020.000204] NVRM: Xid ({GPU2}): 63, pid=912, name=python3, Row Remapper: New row marked for remapping, "
        "reset gpu to activate.\n"
    ),
    "xid-79-then-driver-reloaded": h100(
        f"[20100.000127] NVRM: Xid ({GPU2}): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n"
        "[41000.100012] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  590.48.01  Release Build\n"
    ),
    "kernel-log-restricted": T4 | Described(runs={kernel_log.DMESG: REFUSED, kernel_log.JOURNAL: NOTHING}),
    # The user is in the group adm. The Xid 79 that made somebody reboot is in the log of the boot before, not in this.
    "kernel-log-by-journal": T4
    | Described(
        runs={
            kernel_log.DMESG: REFUSED,
            kernel_log.JOURNAL: done(
                "[    0.000000] kernel: Linux version 5.15.0-91-generic (buildd@host) (gcc 11.4.0) #101-Ubuntu SMP\n"
                "[    9.120044] kernel: NVRM: loading NVIDIA UNIX x86_64 Kernel Module  525.89.02  Wed Feb  1 2023\n"
            ),
        }
    ),
    "kernel-log-wrapped": T4
    | Described(
        runs={
            kernel_log.DMESG: done(
                "[71204.551208] docker0: port 1(veth2d1b1aa) entered blocking state\n"
                "[71204.551212] docker0: port 1(veth2d1b1aa) entered disabled state\n"
            ),
            kernel_log.JOURNAL: NOTHING,
        }
    ),
}
