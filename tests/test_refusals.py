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
            "could not be fetched",
            "--base",
        ),
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
