"""Error texts of real engines (Docker 20.10 to 29, NVIDIA Container Toolkit), and what a person is told."""

from __future__ import annotations

import pytest

from gpucheck import refusals


@pytest.mark.parametrize(
    ("text", "seen", "tip"),
    [
        (
            'could not select device driver "" with capabilities: [[gpu]]',
            "cannot give GPUs",
            "nvidia-ctk runtime configure",
        ),
        (
            'could not select device driver "cdi" with capabilities: []',
            "cannot give GPUs",
            "nvidia-ctk runtime configure",
        ),
        (
            "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",
            "no device nvidia.com/gpu=all",
            "nvidia-ctk cdi generate",
        ),
        (
            "failed to fulfil mount request: open /opt/lib/libcuda.so.535.00: no such file or directory: unknown",
            "/opt/lib/libcuda.so.535.00, which is gone",
            "nvidia-ctk cdi generate",
        ),
        (
            "OCI runtime create failed: nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, "
            "please update your driver to a newer version, or use an earlier cuda container: unknown",
            "cuda>=12.8",
            "upgrade the driver",
        ),
        (
            "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown",
            "initialization error: nvml error: driver not loaded",
            "gpucheck doctor",
        ),
        ("Unknown runtime specified nvidia", "no runtime called nvidia", "nvidia-ctk"),
        ("unknown or invalid runtime name: nvidia", "no runtime called nvidia", "nvidia-ctk"),
        ("write /var/lib/docker/x: no space left on device", "disk is full", "docker system df"),
        ("No such image: gpucheck/tensorflow:1", "no image gpucheck/tensorflow:1", "gpucheck build"),
        (
            "pull access denied for gpucheck/none, repository does not exist or may require 'docker login'",
            "no image gpucheck/none",
            "--base",
        ),
        (
            'failed to do request: Head "https://registry.example/v2/": dial tcp: lookup registry: no such host',
            "no connection to the registry registry.example",
            "gpucheck pack",
        ),
        ("toomanyrequests: You have reached your pull rate limit", "could not be fetched", "--base"),
        (
            "executor failed running [/bin/sh -c true]: network bridge not found",
            "no network of its own",
            "--network host",
        ),
        ("something new\nwith details", "something new", "docker info"),
        ("", "without a word", "docker info"),
    ],
)
def test_what_the_engine_says_becomes_a_sentence_and_a_tip(text: str, seen: str, tip: str) -> None:
    sentence, told = refusals.sentence(text)
    assert seen in sentence
    assert tip in told
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("line", "tip"),
    [
        ("OSError: [Errno 28] No space left on device", "docker system df"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "--ca-bundle"),
        ("NewConnectionError: Temporary failure in name resolution", "--network host"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "locked"),
        ("ERROR: No matching distribution found for tensorflow-cpu==2.21.0", "Python"),
        ("Error: No module named venv", "python3-venv"),
        ("'ProxyError('Cannot connect to proxy.', NewConnectionError('x'))': /simple/six/", "HTTPS_PROXY names it"),
        ("WARNING: The repository located at x is not a trusted or secure host and is being ignored.", "TRUSTED_HOST"),
        ("boom", "last words"),
    ],
)
def test_what_a_step_says_chooses_the_tip(line: str, tip: str) -> None:
    failed = refusals.step_failed("RUN pip install", "exit code: 1", ("before", line))
    assert isinstance(failed, refusals.BuildFailed)
    assert tip in failed.tip
    assert line in str(failed)


def test_a_step_that_the_engine_failed_is_not_blamed() -> None:
    failed = refusals.step_failed("RUN true", "failed to solve: no space left on device", ())
    assert not isinstance(failed, refusals.BuildFailed)
    assert "disk is full" in str(failed)


PIP = "RUN pip install"
REFUSED = "after connection broken by 'NewConnectionError(': Failed to establish a new connection: [Errno -3] "
NEWER = REFUSED + "HTTPSConnection(host='files.example', port=443)"


@pytest.mark.parametrize(
    ("line", "indexes", "host"),
    [
        (REFUSED, (None, None), "pypi.org"),
        (REFUSED, ("https://user:secret@index.example/simple", None), "index.example"),
        (REFUSED, (None, "https://download.example/cpu"), "pypi.org or download.example"),
        (NEWER, (None, None), "files.example"),
    ],
)
def test_an_index_that_was_not_reached_is_named(line: str, indexes: tuple[str | None, ...], host: str) -> None:
    failed = refusals.step_failed(PIP, "exit code: 1", (line, "ERROR: No matching distribution found for six"))
    assert isinstance(failed, refusals.BuildFailed)
    assert not failed.is_without_wheel
    told = refusals.without_index(failed, *indexes)
    assert told is not None
    assert str(told).startswith(f"no connection to the package index {host}: the build failed in this step: {PIP}")
    assert "secret" not in str(told)
    assert "--network host" in told.tip
    assert "gpucheck pack" in told.tip


@pytest.mark.parametrize(
    ("step", "line"),
    [("RUN curl", REFUSED), (PIP, f"ProxyError('Cannot connect to proxy.', {REFUSED})"), (PIP, "boom")],
)
def test_no_index_is_blamed_for_another_failure(step: str, line: str) -> None:
    failed = refusals.step_failed(step, "exit code: 1", (line,))
    assert isinstance(failed, refusals.BuildFailed)
    assert refusals.without_index(failed, None) is None


@pytest.mark.parametrize(
    "source",
    [
        "https://files.example/packages/ab/six-1.17.0-py3-none-any.whl#sha256=00",
        "file:///w/six-1.17.0-py3-none-any.whl",
    ],
)
def test_a_file_that_is_not_the_locked_one_is_named_however_long_its_list_of_hashes(source: str) -> None:
    """As pip 23.0 says it."""
    hashes = [f"        Expected     or {n:064x}" for n in range(60)]
    lines = (
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package "
        "versions, please update the hashes. Otherwise, examine the package contents carefully.",
        f"    six==1.17.0 from {source} (from -r /opt/lock.txt (line 1)):",
        *hashes,
        "             Got        00",
    )
    failed = refusals.step_failed(PIP, "exit code: 1", lines)
    assert str(failed).startswith("six-1.17.0-py3-none-any.whl is not the file that was locked: ")
    assert isinstance(failed, refusals.BuildFailed)
    assert failed.last_lines == lines[-refusals.LAST_LINES :]
    assert failed.exit_code == 1
