import json
from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import ContainerToolkit, DeviceNode, Version
from gpucheck.host import CannotLook, Result
from gpucheck.probes import container_toolkit, files

Machine = Callable[..., Any]

LIBRARY = "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15"
# As nvidia-ctk 1.17 writes it, shortened.
YAML = f"""---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  hooks:
  - args:
    - nvidia-cdi-hook
    - update-ldcache
    - --folder
    - /usr/lib/x86_64-linux-gnu
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: {LIBRARY}
    hostPath: {LIBRARY}
    options: [ro, nosuid, nodev, bind]
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      major: 195
      minor: 0
      fileMode: 438
      permissions: rw
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      major: 195
      minor: 0
  name: all
kind: nvidia.com/gpu
"""
PATHS = ("/dev/nvidiactl", LIBRARY, "/usr/bin/nvidia-cdi-hook", "/dev/nvidia0")
SHAPE = "an entry is not what the specification says it is"
GONE = f"stat: cannot statx '{LIBRARY}': No such file or directory\n"


def stat(*paths: str) -> tuple[str, ...]:
    return ("stat", "-L", "-c", files.STAT_FORMAT, *paths)


def test_a_toolkit_with_a_spec_of_which_a_library_is_gone(machine: Machine) -> None:
    there = "".join(f"81ed 0 0 755 root {path}\n" for path in PATHS if path != LIBRARY)
    found = container_toolkit.probe(
        machine(
            {
                "/etc/docker/daemon.json": '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}',
                "/etc/cdi": "README\nnvidia.yaml\nnvidia.yaml.bak\n",
                "/etc/cdi/nvidia.yaml": YAML,
            },
            {
                ("nvidia-ctk", "--version"): Result(
                    code=0, out="NVIDIA Container Toolkit CLI version 1.17.8\ncommit: f202b80a9b9d0db0\n", err=""
                ),
                container_toolkit.HOOK: Result(code=0, out="/usr/bin/nvidia-container-runtime-hook\n", err=""),
                stat(*PATHS): Result(code=1, out=there, err=GONE),
            },
        )
    )
    assert (found.version, found.hook) == (Version("1.17.8"), True)
    assert (found.daemon_json, found.daemon_json_error) == (("nvidia",), None)
    (spec,) = found.cdi_specs
    assert (spec.path, spec.error, spec.version) == ("/etc/cdi/nvidia.yaml", None, "0.5.0")
    assert (spec.kind, spec.devices) == ("nvidia.com/gpu", ("0", "all"))
    assert spec.missing_paths == (LIBRARY,)
    assert spec.driver_version == Version("550.54.15")
    assert spec.device_nodes == (DeviceNode(path="/dev/nvidia0", major=195, minor=0, mode="666", group=""),)


def test_a_spec_in_json_says_the_same(machine: Machine) -> None:
    import yaml

    host = machine({"/var/run/cdi": "nvidia.json\n", "/var/run/cdi/nvidia.json": json.dumps(yaml.safe_load(YAML))})
    host.runs[stat(*PATHS)] = Result(code=0, out="".join(f"81ed 0 0 755 root {path}\n" for path in PATHS), err="")
    (spec,) = container_toolkit.probe(host).cdi_specs
    assert (spec.path, spec.error, spec.missing_paths) == ("/var/run/cdi/nvidia.json", None, ())
    assert spec.devices == ("0", "all")


def test_nothing_is_installed(machine: Machine) -> None:
    host = machine()
    found = container_toolkit.probe(host)
    assert found == ContainerToolkit(version=None, hook=False, daemon_json=(), daemon_json_error=None, cdi_specs=())
    assert len(host.asked) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no kind"),
        ("[]", "no kind"),
        ("kind: nvidia.com/gpu\ndevices:\n", "no kind or no devices"),
        ("cdiVersion: 0.5.0\n  kind: [torn", "not YAML: .* \\(line 2\\)"),
        ('{"cdiVersion": "0.5.0", "devi', "not JSON: .* \\(line 1\\)"),
        ("kind: !!python/object/apply:os.system ['true']\ndevices: []", "not YAML"),
    ],
)
def test_a_spec_that_cannot_be_parsed_says_why_in_one_line(machine: Machine, text: str, said: str) -> None:
    host = machine({"/etc/cdi": "nvidia.yaml\n", "/etc/cdi/nvidia.yaml": text})
    (spec,) = container_toolkit.probe(host).cdi_specs
    assert spec.error
    assert "\n" not in spec.error
    with pytest.raises(ValueError, match=said):
        container_toolkit.parse_spec(text)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ('"deviceNodes": [{"hostPath": null}]', "an entry has no path"),
        ('"deviceNodes": [{"path": "/dev/nvidia0", "major": 195, "minor": 0, "fileMode": "0666"}]', SHAPE),
        ('"deviceNodes": [{"path": "/dev/nvidia0", "major": "195", "minor": 0}]', SHAPE),
        ('"mounts": ["/usr/lib"]', SHAPE),
        ('"mounts": [{"hostPath": 3}]', SHAPE),
        ('"hooks": 3', SHAPE),
    ],
)
@pytest.mark.parametrize("devices", ["[]", '[{"name": "0"}]'])
def test_a_spec_with_entries_of_another_shape_is_none(machine: Machine, edits: str, said: str, devices: str) -> None:
    text = f'{{"kind": "nvidia.com/gpu", "devices": {devices}, "containerEdits": {{{edits}}}}}'
    (spec,) = container_toolkit.probe(machine({"/etc/cdi": "a.json\n", "/etc/cdi/a.json": text})).cdi_specs
    assert spec.error == f"not a CDI spec: {said}"


@pytest.mark.parametrize("devices", ["[a]", "[{}]", "[{name: a, containerEdits: [b]}]"])
def test_devices_of_another_shape(devices: str) -> None:
    with pytest.raises(ValueError, match="not a CDI spec"):
        container_toolkit.parse_spec(f"kind: nvidia.com/gpu\ndevices: {devices}")


def test_a_spec_that_may_not_be_read_leaves_the_subject_unknown(machine: Machine) -> None:
    """It is no fault of the spec: the engine is root and reads it."""
    refusal = CannotLook("/etc/cdi/nvidia.yaml: Permission denied")
    with pytest.raises(CannotLook, match=r"/etc/cdi/nvidia\.yaml: Permission denied"):
        container_toolkit.probe(machine({"/etc/cdi": "nvidia.yaml\n", "/etc/cdi/nvidia.yaml": refusal}))


def test_a_path_in_a_closed_folder_is_not_missing(machine: Machine) -> None:
    there = "".join(f"81ed 0 0 755 root {path}\n" for path in PATHS if path != LIBRARY)
    denied = f"stat: cannot statx '{LIBRARY}': Permission denied\n"
    host = machine({"/etc/cdi": "nvidia.yaml\n", "/etc/cdi/nvidia.yaml": YAML})
    host.runs[stat(*PATHS)] = Result(code=1, out=there, err=denied)
    (spec,) = container_toolkit.probe(host).cdi_specs
    assert spec.missing_paths == ()


@pytest.mark.parametrize(
    ("text", "runtimes"),
    [("", ()), ("{}", ()), ('{"runtimes": null}', ()), ('{"runtimes": {"b": {}, "a": {}}}', ("a", "b"))],
)
def test_daemon_json(machine: Machine, text: str, runtimes: tuple[str, ...]) -> None:
    found = container_toolkit.probe(machine({container_toolkit.DAEMON_JSON: text}))
    assert (found.daemon_json, found.daemon_json_error) == (runtimes, None)


@pytest.mark.parametrize("text", ['{"runtimes": {', '{"a": 1,}', "[]", '"x"', '{"runtimes": 3}'])
def test_a_torn_daemon_json_is_an_error(machine: Machine, text: str) -> None:
    found = container_toolkit.probe(machine({container_toolkit.DAEMON_JSON: text}))
    assert found.daemon_json == ()
    assert found.daemon_json_error


def test_a_daemon_json_that_may_not_be_read_is_an_error(machine: Machine) -> None:
    found = container_toolkit.probe(machine({container_toolkit.DAEMON_JSON: CannotLook("Permission denied")}))
    assert found.daemon_json_error == "Permission denied"


def test_a_failing_nvidia_ctk_has_no_version() -> None:
    assert container_toolkit.parse_version("nvidia-ctk: error while loading shared libraries") is None


@pytest.mark.parametrize(
    ("text", "no_cgroups"),
    [
        ("", False),
        ("[nvidia-container-cli]\n#no-cgroups = false\n", False),
        ("[nvidia-container-cli]\nno-cgroups = true\n[nvidia-container-runtime]\nmode = 'auto'\n", True),
        ("[nvidia-container-cli]\nno-cgroups = 'yes'\n", None),
        ("nvidia-container-cli = 3\n", None),
        ("[torn\n", None),
        ("a = " + "[" * 100_000, None),
    ],
)
def test_config(machine: Machine, text: str, no_cgroups: bool | None) -> None:
    assert container_toolkit.probe(machine({container_toolkit.CONFIG: text})).no_cgroups is no_cgroups
    assert container_toolkit.parse_config(container_toolkit.kept_config(text)) is no_cgroups


def test_a_config_that_may_not_be_read_takes_nothing_else_away(machine: Machine) -> None:
    host = machine({container_toolkit.CONFIG: CannotLook("Permission denied"), container_toolkit.DAEMON_JSON: "{}"})
    found = container_toolkit.probe(host)
    assert (found.no_cgroups, found.daemon_json_error) == (None, None)


def test_a_spec_nested_without_end_is_none(machine: Machine) -> None:
    for text in ('{"a":' * 100_000, "[" * 100_000, "- " * 100_000, "? " * 100_000):
        (spec,) = container_toolkit.probe(machine({"/etc/cdi": "a.json\n", "/etc/cdi/a.json": text})).cdi_specs
        assert spec.error
