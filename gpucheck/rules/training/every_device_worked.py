"""Training on several devices is proven device by device: one that got no samples, or an unequal part, is named."""

from gpucheck.facts import Kernels, Run, Training
from gpucheck.model import Outcome, Rule, bad, ok, skip, unsure

LEAST = 0.5  # of an equal share


def judge(run: Run, training: Training, kernels: Kernels | None) -> Outcome:
    if run.devices_asked == 1:
        return skip("one device was asked for")
    asked = [f"{run.device.upper()}:{number}" for number in range(run.devices_asked)]
    samples = {share.device: share.samples for share in training.shares}
    whole = sum(samples.values())
    if not whole:
        return unsure("the training did not tell the devices' shares")
    told = ", ".join(f"{device} {samples.get(device, 0) / whole:.0%}" for device in asked)
    few = tuple(device for device in asked if samples.get(device, 0) < LEAST * whole / len(asked))
    if few:
        return bad(f"{', '.join(few)} trained on too few samples ({told})", affects=few)
    ran = {device.device for device in kernels.devices if device.kernels} if kernels else set()
    if run.device == "gpu" and (kernels is None or kernels.blind):
        return unsure(f"the payload says {told}, and no profiler saw each GPU work")
    still = tuple(device for device in asked if run.device == "gpu" and device not in ran)
    if still:
        return bad(f"{', '.join(still)} executed no kernel, whatever the payload says ({told})", affects=still)
    return ok(f"samples trained on: {told}")


RULE = Rule(id="training.every-device-worked", title="Every device did its share", judge=judge)
