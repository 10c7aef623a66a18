"""What is written for other launchers, read back as they would: HCL by python-hcl2, the task by SkyPilot's schema, the
scripts by a shell. No terraform, tofu or sky is at hand: names of arguments are held to what the providers document."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hcl2
import jsonschema
import pytest
import yaml
from typer.main import get_command

from gpucheck import targets
from gpucheck.cli.app import app
from gpucheck.clouds import azure_bodies, gcp_bodies
from gpucheck.model import Failure
from gpucheck.targets import FORMATS, Target

SCHEMA = json.loads((Path(__file__).parent / "targets_schema.json").read_text())
NASTY = "\"quoted\" \\ \n${path.root} $${x} %{ if true } <script>alert(1)</script> 'it' $(reboot) `id` é\t\x01\u2028 $"
AWS = Target(
    provider="aws", name="ann-g4dn", owner="ann", instance_type="g4dn.xlarge", gpu=None, region="us-east-1",
    image="/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id", disk_gib=100,
    user_data="#cloud-config\nruncmd:\n- [sh, -c, 'echo \"${HOME} %{x} <script>\"']\n", framework="tensorflow",
    package="gpucheck[verify]==0.7", spot=False, minutes=60,
)  # fmt: skip
GCP = replace(
    AWS, provider="gcp", name="ann-n1", instance_type="n1-standard-8", gpu=("nvidia-tesla-t4", 2), region="us-central1",
    image="projects/ubuntu-os-accelerator-images/global/images/family/ubuntu-accelerator-2404-amd64-with-nvidia-580",
)  # fmt: skip
AZURE = replace(
    AWS, provider="azure", name="ann-nc4as", instance_type="Standard_NC4as_T4_v3", region="eastus",
    image="microsoft-dsvm:ubuntu-hpc:2204:latest",
)  # fmt: skip
every = pytest.mark.parametrize("target", [AWS, GCP, AZURE], ids=lambda target: target.provider)
PROVIDERS = {"aws": "aws", "gcp": "google", "azure": "azurerm"}


def parsed(target: Target) -> Any:
    """The module as one document, with its strings as they will be."""
    texts = targets.files("terraform", target)
    return unquoted(hcl2.loads("\n".join(text for name, text in texts.items() if name.endswith(".tf"))))


def unquoted(value: Any) -> Any:
    """HCL's escapes in what we write are JSON's too; an expression stays as python-hcl2 gives it: "${...}"."""
    if isinstance(value, list):
        return [unquoted(each) for each in value]
    if isinstance(value, dict):
        return {plain(key): unquoted(each) for key, each in value.items() if not key.startswith("__")}  # its notes
    return plain(value)


def plain(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) and text.startswith('"') else text


def values(target: Target) -> dict[str, Any]:
    """What variables.tf says: its locals, and the defaults of its variables."""
    document = unquoted(hcl2.loads(targets.files("terraform", target)["variables.tf"]))
    (own,) = document["locals"]
    return {**own, **{name: of.get("default") for each in document["variable"] for name, of in each.items()}}


def declared(document: Any, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for each in document.get(kind, []):
        for type_, named in each.items():
            for name, body in named.items():
                yield type_, name, body


def test_all_formats_there_are() -> None:
    assert list(FORMATS) == ["user-data", "terraform", "skypilot"]


@every
@pytest.mark.parametrize("format", FORMATS)
def test_the_same_again_is_the_same(target: Target, format: str) -> None:
    assert targets.files(format, target) == targets.files(format, replace(target))
    for text in targets.files(format, target).values():
        assert text.endswith("\n")


@every
def test_user_data_is_just_that(target: Target) -> None:
    assert targets.files("user-data", target) == {"user-data.yaml": target.user_data}


# --- OpenTofu ---


@every
def test_a_module_is_five_files(target: Target) -> None:
    texts = targets.files("terraform", target)
    assert sorted(texts) == ["README.md", "main.tf", "outputs.tf", "user-data.yaml", "variables.tf"]
    assert texts["user-data.yaml"] == target.user_data
    assert texts["README.md"].count("\n") <= 16
    assert re.search(r'\b(file|filebase64)\("\$\{path\.module\}/user-data\.yaml"\)', texts["main.tf"])


@every
def test_every_argument_is_one_that_the_provider_documents(target: Target) -> None:
    document = parsed(target)
    seen = 0
    for kind in ("data", "resource"):
        for type_, name, body in declared(document, kind):
            held(body, SCHEMA[kind][type_], f"{type_}.{name}")
            seen += 1
    assert seen >= 4


def held(body: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    given = {key for key in body if key not in ("dynamic", "depends_on")}
    dynamic = [(key, of["content"][0]) for each in body.get("dynamic", []) for key, of in each.items()]
    assert given <= {*known["required"], *known["optional"], *known["blocks"]}, where
    assert {*known["required"]} <= given, where
    for key, inner in [*((key, body[key]) for key in known["blocks"] if key in given), *dynamic]:
        for block in inner if isinstance(inner, list) else [inner]:
            held(block, known["blocks"][key], f"{where}.{key}")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("http_tokens ", "http_token "),
        ("  vpc_security_group_ids", "  security_group_id"),
        ("  spot_options", "  spot"),
    ],
)
def test_a_misspelt_argument_is_found(right: str, wrong: str) -> None:
    text = targets.files("terraform", AWS)["main.tf"]
    assert right in text
    document = unquoted(hcl2.loads(text.replace(right, wrong)))
    bodies = {type_: body for type_, _, body in declared(document, "resource")}
    with pytest.raises((AssertionError, KeyError)):
        held(bodies["aws_instance"], SCHEMA["resource"]["aws_instance"], "")


@every
def test_what_is_referred_to_is_there_and_what_is_there_is_referred_to(target: Target) -> None:
    texts = targets.files("terraform", target)
    text, document = texts["main.tf"] + texts["outputs.tf"], parsed(target)
    there = {
        f"{'data.' if kind == 'data' else ''}{type_}.{name}": SCHEMA[kind][type_]
        for kind in ("data", "resource") for type_, name, _ in declared(document, kind)
    }  # fmt: skip
    uses = re.findall(r"\b((?:data\.)?(?:aws|google|azurerm|time)_\w+\.\w+)(?:\.(\w+))?", text)
    assert uses
    for address, attribute in uses:
        known = there[address]
        assert not attribute or attribute in {*known["attributes"], *known["required"], *known["optional"]}, address
    local = {name for own in document["locals"] for name in own}
    variable = {name for each in document["variable"] for name in each}
    assert set(re.findall(r"\blocal\.(\w+)", text)) == local
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variable


@every
def test_providers_are_pinned_to_the_major_that_was_read(target: Target) -> None:
    (block,) = parsed(target)["terraform"]
    (wanted,) = block["required_providers"]
    assert set(wanted) == {PROVIDERS[target.provider], "time"}
    for name, each in wanted.items():
        assert each["source"] == f"hashicorp/{name}"
        assert each["version"].startswith(f"~> {SCHEMA['providers'][name]['major']}.")


@every
def test_it_is_the_instance_that_was_asked_for(target: Target) -> None:
    said = values(replace(target, spot=True, disk_gib=200, minutes=45))
    assert (said["name"], said["owner"], said["instance_type"]) == (target.name, "ann", target.instance_type)
    assert (said["region"], said["spot"], said["disk_gib"], said["minutes"]) == (target.region, True, 200, 45)
    image = said["image"]
    assert (image if isinstance(image, str) else list(image.values())) == {
        "aws": AWS.image,
        "gcp": ["ubuntu-os-accelerator-images", "ubuntu-accelerator-2404-amd64-with-nvidia-580"],
        "azure": ["microsoft-dsvm", "ubuntu-hpc", "2204", "latest"],
    }[target.provider]


def test_a_gpu_is_attached_where_the_type_has_none() -> None:
    assert values(GCP)["accelerators"] == {"nvidia-tesla-t4": 2}
    assert values(replace(GCP, gpu=None))["accelerators"] == {}


@pytest.mark.parametrize(
    ("machine", "disk"), [("g2-standard-4", "pd-balanced"), ("a3-highgpu-8g", "pd-balanced"),
                          ("a3-ultragpu-8g", "hyperdisk-balanced"), ("a4-highgpu-8g", "hyperdisk-balanced")],
)  # fmt: skip
def test_a_disk_is_one_that_the_type_takes(machine: str, disk: str) -> None:
    """SkyPilot 0.14.1, sky/clouds/gcp.py: "a3-ultragpu, n4, a4, and g4 instances only support hyperdisk-balanced"."""
    assert values(replace(GCP, instance_type=machine, gpu=None))["disk_type"] == disk


def resource(target: Target, type_: str) -> dict[str, Any]:
    (body,) = [body for each, _, body in declared(parsed(target), "resource") if each == type_]
    return body


def test_on_aws_nothing_comes_in_and_it_ends_with_itself() -> None:
    assert resource(AWS, "aws_security_group")["ingress"] == []
    instance = resource(AWS, "aws_instance")
    assert instance["instance_initiated_shutdown_behavior"] == "terminate"
    (metadata,), (disk,) = instance["metadata_options"], instance["root_block_device"]
    assert (metadata["http_tokens"], metadata["http_put_response_hop_limit"]) == ("required", 2)
    assert disk["delete_on_termination"] in (True, "true")
    assert not {"iam_instance_profile", "key_name"} & set(instance)
    (market,) = instance["dynamic"]
    assert market["instance_market_options"]["for_each"] == "${var.spot ? [1] : []}"


def test_on_gcp_nothing_comes_in_and_it_is_deleted_in_time() -> None:
    wall = resource(GCP, "google_compute_firewall")
    assert (wall["priority"], wall["direction"], wall["source_ranges"]) == (0, "INGRESS", ["0.0.0.0/0"])
    assert (wall["deny"], "allow" in wall) == ([{"protocol": "all"}], False)
    instance = resource(GCP, "google_compute_instance")
    assert instance["tags"] == "${google_compute_firewall.closed.target_tags}"
    (scheduling,) = instance["scheduling"]
    assert (scheduling["on_host_maintenance"], scheduling["instance_termination_action"]) == ("TERMINATE", "DELETE")
    assert scheduling["max_run_duration"] == [{"seconds": "${local.minutes * 60}"}]
    assert "service_account" not in instance


def test_on_azure_nothing_comes_in_and_it_is_deallocated_in_time() -> None:
    assert resource(AZURE, "azurerm_network_security_group")["security_rule"] == []
    machine = resource(AZURE, "azurerm_linux_virtual_machine")
    assert (machine["priority"], machine["eviction_policy"]) == (
        '${var.spot ? "Spot" : "Regular"}',
        '${var.spot ? "Delete" : null}',
    )
    assert machine["boot_diagnostics"] == [{}]
    assert "identity" not in machine
    assert "admin_password" not in machine
    end = resource(AZURE, "azurerm_dev_test_global_vm_shutdown_schedule")
    assert (end["enabled"] in (True, "true"), end["timezone"]) == (True, "UTC")
    assert "default" not in values_of(AZURE, "ssh_public_key")


def values_of(target: Target, variable: str) -> dict[str, Any]:
    return next(of for each in parsed(target)["variable"] for name, of in each.items() if name == variable)


@every
def test_all_that_takes_tags_is_tagged(target: Target) -> None:
    untagged = []
    for type_, _, body in declared(parsed(target), "resource"):
        known = SCHEMA["resource"][type_]
        kind = "labels" if target.provider == "gcp" else "tags"
        if kind in known["optional"] and body.get(kind) != f"${{local.{kind}}}":
            untagged.append(type_)
    assert untagged == []
    named = next(own[kind] for own in parsed(target)["locals"] for kind in ("tags", "labels") if kind in own)
    assert named["gpucheck"] == "${local.name}"
    assert named["gpucheck-owner"] == "${var.owner}"
    assert named["gpucheck-expires"] == "${tostring(time_offset.end.unix)}"


@every
def test_gpucheck_finds_what_others_made(target: Target) -> None:
    """By the names and marks that its own cloud modules give."""
    known = {
        "local.name": "run",
        "local.called": "gpucheck-run",
        "var.owner": "ann",
        "time_offset.end.unix": "1700000000",
    }

    def said(text: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda found: known[found[1]], text)

    if target is AZURE:
        assert said(resource(target, "azurerm_resource_group")["name"]) == azure_bodies.group("run")
        assert said(resource(target, "azurerm_linux_virtual_machine")["name"]) == "run"
    if target is GCP:
        rule, instance = resource(target, "google_compute_firewall"), resource(target, "google_compute_instance")
        assert said(said(instance["name"])) == gcp_bodies.name("run")
        assert said(rule["name"]) == f"{gcp_bodies.name('run')}-deny"
        assert [said(tag) for tag in rule["target_tags"]] == [gcp_bodies.name("run")]
        mark = gcp_bodies.mark_of_sentence(said(rule["description"]))
        assert mark == gcp_bodies.Mark(run="run", owner="ann", expires=datetime.fromtimestamp(1_700_000_000, UTC))
    report = targets.files("terraform", target)["outputs.tf"].split('output "report"')[1]
    assert f'"gpucheck cloud report {target.provider} ${{local.name}}"' in report


# --- what is written is what was said, whatever it was ---


@pytest.mark.parametrize("text", [NASTY, "", "${", "$${", "$$${x}", "%%{x}", "\\${x}", "\\", '"', "a\r\nb", "\x7f\x85"])
def test_a_string_of_hcl_is_that_string(text: str) -> None:
    written = targets.hcl(text)
    assert json.loads(written) == text
    assert not re.search(r"[$%]\{|[\x00-\x1f\x7f]", written)
    (document,) = hcl2.loads(f"locals {{\n  x = {written}\n}}\n")["locals"]
    assert plain(document["x"]) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (False, "false"), (7, "7"), ({}, "{}"), ({"a": 1}, '{ "a" = 1 }')],
)
def test_other_values_of_hcl(value: Any, text: str) -> None:
    assert targets.hcl(value) == text


@every
def test_a_nasty_value_survives(target: Target) -> None:
    said = values(replace(target, name=NASTY, owner=NASTY, region=NASTY))
    assert (said["name"], said["owner"], said["region"]) == (NASTY, NASTY, NASTY)
    texts = targets.files("terraform", replace(target, name=NASTY, user_data=NASTY))
    assert texts["user-data.yaml"] == NASTY
    assert "<script>" not in texts["main.tf"] + texts["outputs.tf"] + texts["README.md"]
    task = yaml.safe_load(targets.files("skypilot", replace(target, name=NASTY, region=NASTY))["task.yaml"])
    assert (task["name"], task["resources"]["infra"]) == (NASTY, f"{target.provider}/{NASTY}")


@pytest.mark.parametrize(
    ("target", "image"),
    [(AWS, "ami-0abc"), (GCP, "family/x"), (GCP, "projects/p/global/images/x"), (AZURE, "a:b:c"), (AZURE, "a::c:d")],
)
@pytest.mark.parametrize("format", ["terraform", "skypilot"])
def test_an_image_that_cannot_be_looked_up(target: Target, image: str, format: str) -> None:
    if format == "skypilot" and target.provider != "azure":
        assert image not in targets.files(format, replace(target, image=image))["task.yaml"]
        return
    with pytest.raises(Failure, match="is not how"):
        targets.files(format, replace(target, image=image))


@every
@pytest.mark.parametrize("format", FORMATS)
def test_nobodys_secret_is_in_it(target: Target, format: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = "hunter2-AKIAIOSFODNN7EXAMPLE"  # noqa: S105
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(secret)
    for name in ("HOME", "AWS_SECRET_ACCESS_KEY", "ARM_CLIENT_SECRET", "GOOGLE_CREDENTIALS", "USER"):
        monkeypatch.setenv(name, str(tmp_path) if name == "HOME" else secret)
    for text in targets.files(format, target).values():
        assert secret not in text
        assert str(tmp_path) not in text
        assert not re.search(r"(?i)\b(access_key|secret_key|client_secret|credentials|admin_password)\s*=", text)


# --- SkyPilot ---


def task(target: Target) -> Any:
    text = targets.files("skypilot", target)["task.yaml"]
    assert text.startswith("# ")
    return yaml.safe_load(text)


@every
def test_the_task_is_one_by_skypilots_schema(target: Target) -> None:
    made = task(replace(target, spot=True))
    jsonschema.Draft202012Validator(SCHEMA["skypilot"]["schema"]).validate(made)
    resources = made["resources"]
    assert (resources["infra"], resources["instance_type"]) == (
        f"{target.provider}/{target.region}",
        target.instance_type,
    )
    assert (resources["use_spot"], resources["disk_size"], resources["autostop"]["down"]) == (True, 100, True)
    assert resources.get("accelerators") == ({"T4": 2} if target is GCP else None)
    assert resources.get("image_id") == (AZURE.image if target is AZURE else None)


def test_a_field_that_skypilot_does_not_know_is_found() -> None:
    made = task(AWS)
    made["resources"]["use_spots"] = made["resources"].pop("use_spot")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA["skypilot"]["schema"]).validate(made)


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def ran(script: str, home: Path) -> tuple[int, list[str]]:
    """Its exit code and what it called, in a home of its own: sudo is here one that changes nothing."""
    said = home / "said"
    program(
        home / ".local/bin/uv",
        f'printf "uv"; printf " %s" "$@"; echo; test "$1" != venv || mkdir -p "{home}/gpucheck/bin"',
    )
    program(home / "bin" / "sudo", 'exec "$@"')
    where = {**os.environ, "HOME": str(home), "PATH": f"{home}/bin:{os.environ['PATH']}"}
    with said.open("wb") as output:
        done = subprocess.run(["bash", "-c", script], env=where, stdout=output, timeout=30)
    return done.returncode, said.read_text().splitlines()


def test_the_setup_installs_what_was_asked_for(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    nasty = "gpucheck[verify] @ file:///it's $(touch pwned) `x`"
    code, said = ran(task(replace(AWS, package=nasty))["setup"], home)
    assert (code, len(said)) == (0, 2)
    assert said[0] == f"uv venv --python 3.12 {home}/gpucheck"
    assert said[1] == f"uv pip install --python {home}/gpucheck/bin/python {nasty}"
    code, said = ran(task(AWS)["setup"], home)
    assert (code, [line.split()[1] for line in said]) == (0, ["pip"])


@pytest.mark.parametrize(("fails", "code"), [("doctor", 0), ("build", 1), ("verify", 1)])
def test_the_run_builds_and_verifies_whatever_doctor_says(tmp_path: Path, fails: str, code: int) -> None:
    program(tmp_path / "gpucheck" / "bin" / "gpucheck", f'echo "$@"; test "$1" != {fails}')
    done, said = ran(task(replace(AWS, framework="jax"))["run"], tmp_path)
    expected = ["doctor", "build --framework jax", "verify --framework jax"]
    assert (done, said) == (code, expected[:2] if fails == "build" else expected)
    root: Any = get_command(app)
    for line in expected:
        name, *rest = line.split()
        assert root.commands[name].make_context(name, rest)


def test_the_run_ends_in_time(tmp_path: Path) -> None:
    assert "sudo timeout 45m " in task(replace(AWS, minutes=45))["run"]
    program(tmp_path / "gpucheck" / "bin" / "gpucheck", "exec sleep 60")
    done, said = ran(task(AWS)["run"].replace("timeout 60m", "timeout 0.2"), tmp_path)
    assert (done, said) == (124, [])


def test_every_fact_has_its_source_and_date() -> None:
    rows = [*SCHEMA["providers"].values(), *SCHEMA["data"].values(), *SCHEMA["resource"].values(), SCHEMA["skypilot"]]
    for row in rows:
        assert row["source"]
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["checked"])
    used = {
        (kind, type_) for target in (AWS, GCP, AZURE) for kind in ("data", "resource")
        for type_, _, _ in declared(parsed(target), kind)
    }  # fmt: skip
    assert used == {(kind, type_) for kind in ("data", "resource") for type_ in SCHEMA[kind]}
