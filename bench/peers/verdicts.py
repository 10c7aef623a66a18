"""What a tool said, in its own words, shortened; of a tool that gives no verdict, what it shows.

Each function is given stdout and stderr. "" = nothing to tell.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bench.peers.machines import MODULES


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return re.sub(r"\x1b\[[\d;]*m", "", lines[-1]).strip() if lines else ""


def crashed(err: str) -> str:
    return f"traceback: {last_line(err)}" if "Traceback" in err else ""


def of_gpustat(out: str, err: str) -> str:
    shown = len(re.findall(r"^\[\d+\]", out, re.M))
    broken = re.findall(r"^\[\d+\] \S*\(?(?:GPU is lost|Unknown Error)[^|]*", out, re.M)
    told = crashed(err) or (f"shows {shown}" if shown else last_line(out) or last_line(err) or "prints nothing")
    return told + (f", among them `{broken[0].strip()}`" if broken else "")


def of_gpustat_json(out: str, err: str) -> str:
    try:
        return f"{len(json.loads(out)['gpus'])} GPUs"
    except ValueError:
        return crashed(err) or last_line(err) or last_line(out) or "prints nothing"


def of_nvitop(out: str, err: str) -> str:
    """How many GPUs it shows, those it has an error for, and what is in its column of uncorrected ECC errors."""
    shown = re.findall(r"^\| +(\d+)  (\S[^|]*?)  [^|]*\|[^|]*\|[^|]*? (\S+) \|", out, re.M)
    if not shown:
        return crashed(err) or next((line for line in (err + out).splitlines() if "ERROR" in line), last_line(err))
    broken = [f"GPU {gpu}: `{name}`" for gpu, name, _ in shown if name.startswith("ERROR")]
    errors = [f"Uncorr. ECC of GPU {gpu}: {count}" for gpu, _, count in shown if count not in ("0", "N/A")]
    return "; ".join([f"shows {len(shown)}", *broken, *errors])


def of_gpucm(out: str, err: str) -> str:
    """The word before the dash, and the checks that are not well."""
    word, dash, rest = out.strip().partition(" - ")
    if not dash:
        return crashed(err) or last_line(err)
    lines = rest.partition(". ")[2].splitlines() if word != "OK" else []
    lines = [
        re.sub(r"^\w+ check: (exit_code: ExitCode\.\w+, )?", "", line) for line in lines if "ExitCode.OK" not in line
    ]
    return ": ".join([word, *filter(None, ["; ".join(dict.fromkeys(lines))])])


def document(out: str) -> dict[str, Any] | None:
    """The JSON that follows its messages."""
    start = out.find("{\n")
    try:
        parsed = json.loads(out[start:]) if start >= 0 else None
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def of_brokkr_health(out: str, err: str, log: bool) -> str:
    """Its status and all its issues; and, where the kernel's log matters, the passing category of that."""
    report = document(out)
    if report is None:
        return crashed(err) or last_line(out)
    told = report["errors"] + report["issues"]
    for category in report["categories"] if log else ():
        if (category["category"], category["status"]) == ("kernel_errors", "pass"):
            said = [check["message"] for check in category["checks"]] or ["no check in it"]
            told = [f"kernel_errors passes: {'; '.join(said)}", *told]
    return ": ".join([report["overall_status"], *filter(None, ["; ".join(told)])])


def of_driver(out: str, _: str) -> str:
    blind = () if MODULES.exists() else ("Main nvidia module is not loaded",)
    return "; ".join(told for told in (document(out) or {}).get("errors", ()) if told not in blind)


def of_ecc(out: str, _: str) -> str:
    report = document(out) or {}
    reasons = [
        f"GPU {gpu['gpu_index']}: RMA recommended: {'; '.join(gpu['rma_reasons'])}"
        for gpu in report.get("gpu_ecc_details", ())
        if gpu["rma_recommended"]
    ]
    return "; ".join([*report.get("errors", ()), *reasons])


def of_kernel(out: str, _: str) -> str:
    errors = [error for error in (document(out) or {}).get("errors", ()) if error["severity"] != "info"]
    return "; ".join(dict.fromkeys(f"{error['severity']}, {error['error_type']}" for error in errors))


def of_gpucheck(out: str, err: str) -> str:
    """The verdict where it fails; else the messages of its warnings, and the names of its notes."""
    if not out.strip():
        return crashed(err) or last_line(err)
    report = json.loads(out)
    failed = [f for f in report["findings"] if f["status"] == "fail"]
    warned = [f["message"] if f["severity"] == "warning" else f["rule"] for f in failed if f["severity"] != "error"]
    if report["exit_code"]:
        return str(report["verdict"])
    answer = re.sub(r"\d+ of \d+ rules hold(, \d+ did not apply)?(, )?", "", report["verdict"]).removesuffix(": ")
    return "; ".join([answer, *warned])
