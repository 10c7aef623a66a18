"""A spot machine is taken back with a warning of two minutes (AWS) or half a minute (GCP, Azure), and no machine with a
GPU can be moved while it works: at a maintenance of its host it is stopped, and a run without a checkpoint is lost.
"""

from dataclasses import replace

from gpucheck.facts import Cloud, CloudEvent, CloudEvents
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure

DOES = {
    "reclaim": "takes this spot machine back",
    "risk": "expects to take this spot machine back",
    "reboot": "restarts this machine",
    "stop": "stops this machine",
    "pause": "pauses this machine for some seconds",
}
PAGES = {
    "aws": "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html",
    "gcp": "https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice",
    "azure": "https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events",
}
REMEDY = Remedy(
    text="have your program write a checkpoint now, and let it go on from there on another machine",
    verify="gpucheck doctor --only cloud",
)


def judge(cloud: Cloud, announced: CloudEvents) -> Outcome:
    if cloud.provider is None:
        return skip("not a machine of AWS, GCP or Azure")
    if ends := [event for event in announced.events if event.kind != "pause"]:
        told = "; ".join(_sentence(cloud.provider, event) for event in ends)
        return bad(told, remedy=replace(REMEDY, url=PAGES.get(cloud.provider)))
    if cloud.provider == "azure" and cloud.spot is False and announced.untold:
        return skip(announced.untold)
    if announced.untold:
        return unsure(f"what is coming is not known: {announced.untold}")
    if announced.events:
        return ok("; ".join(_sentence(cloud.provider, event) for event in announced.events))
    return ok(f"{cloud.provider} has announced nothing for this {'spot ' if cloud.spot else ''}machine")


def _sentence(provider: str, event: CloudEvent) -> str:
    does = DOES.get(event.kind, DOES["stop"])
    return f"{provider} {does}{f' at {event.when}' if event.when else ''} ({event.says})"


RULE = Rule(
    id="cloud.no-reclaim-coming",
    title="The cloud has not announced that it takes or stops this machine",
    judge=judge,
    severity=Severity.WARNING,
    after=("pci.gpu-present",),
)
