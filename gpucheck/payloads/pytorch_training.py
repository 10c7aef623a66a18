"""The training of PyTorch's payload, on one device or several: the whole set is on the device, and so is each step.

Nothing is read back from a GPU within an epoch but the loss, once a second. `fast`, and every training on several
devices, leaves out an epoch's last, smaller batch.
"""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import cifar10, parts, pytorch_network, pytorch_ranks, recipe, report
from .observers import torch_observer
from .window import Window

TEST_BATCH = 1000
UNSURE = "does not have a deterministic implementation"  # PyTorch's warning of an op
NCCL_ORDER = "NCCL does not promise the order in which it adds the gradients of several GPUs"


def train(options: Any, say: parts.Say) -> None:
    if not pytorch_ranks.is_first():
        say = _silent
    say("loading PyTorch and the data")
    data = cifar10.prepared(options, say)
    import torch  # type: ignore[import-not-found]

    gpu = options.device == "gpu" and torch.cuda.is_available()
    if len(data.x_train) < options.devices or (gpu and torch.cuda.device_count() < options.devices):
        there = f"{torch.cuda.device_count()} GPUs, " if gpu else ""
        short = f"{options.devices} devices were asked for; there are {there}{len(data.x_train)} training images"
        say(short)
        sys.exit(short)
    with pytorch_ranks.joined(torch, options, gpu) as rank:
        training = Training(torch, options, data, rank, f"cuda:{rank.number}" if gpu else "cpu")
        follow = report.Follow(training.recipe.epochs, training.steps, say)
        stem = options.stem if rank.count == 1 else f"{options.stem}.{rank.number}"
        window = Window(torch_observer, SimpleNamespace(**{**vars(options), "stem": stem}), follow)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("default")
            training.run(follow, window)
        test = training.evaluated(data.x_test, data.y_test) if rank.number == 0 and not options.steps else None
        ranks = rank.gathered({**training.told(), "profile": window.profile})
    for warning in warned:
        sys.stderr.write(warnings.formatwarning(warning.message, warning.category, warning.filename, warning.lineno))
    if rank.number:
        pytorch_ranks.leave()
    unsure = next((str(one.message).split(", but")[0] for one in warned if UNSURE in str(one.message)), None)
    report.training(
        options, follow, data, framework_version=torch.__version__, recipe=training.recipe.name,
        precision="bfloat16" if training.low else "float32", batch_size=training.batch,
        deterministic=NCCL_ORDER if gpu and rank.count > 1 else unsure, devices=pytorch_network.devices(torch),
        shares=[told["share"] for told in ranks], weights_bytes=training.weights_bytes,
        gpu_memory_peak_bytes=[max(peaks) for peaks in zip(*(told["memory"] for told in ranks), strict=True)],
        profile=_profile([told["profile"] for told in ranks]), test_loss=test[0] if test else None,
        predicted=test[1] if test else None,
    )  # fmt: skip
    if rank.count > 1:
        pytorch_ranks.leave()


def _silent(_line: str) -> None:
    pass


def _profile(windows: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    """The first rank's, with the files of all."""
    taken = [window for window in windows if window]
    return {**taken[0], "files": [window["file"] for window in taken if window["file"]]} if taken else None


class Training:
    """One rank's part of it."""

    def __init__(self, torch: Any, options: Any, data: cifar10.Split, rank: pytorch_ranks.Rank, device: str) -> None:
        self.torch, self.options, self.data, self.rank = torch, options, data, rank
        self.device = torch.device(device)
        self.recipe = recipe.chosen(options)
        pytorch_network.deterministic(torch, options.seed)
        self.low = self.recipe.low_precision and pytorch_network.gains_from_bfloat16(torch, self.device)
        self.layout = torch.channels_last if self.recipe.name == "fast" else torch.contiguous_format
        self.share = max(1, min(self.recipe.batch_size, len(data.x_train)) // rank.count)  # of each batch
        self.batch = self.share * rank.count
        whole = self.recipe.name == "fast" or rank.count > 1
        self.steps = len(data.x_train) // self.batch if whole else recipe.steps_in(len(data.x_train), self.batch)
        self.images = torch.from_numpy(data.x_train).to(self.device)
        self.labels = torch.from_numpy(data.y_train).to(self.device)
        mean, deviation = (recipe.MEAN, recipe.DEVIATION) if self.recipe.standardized else ((0.0,) * 3, (1.0,) * 3)
        scale = [[[[1 / 255 / one]] for one in deviation]], [[[[-a / b]] for a, b in zip(mean, deviation, strict=True)]]
        self.scale, self.shift = (torch.tensor(values, device=self.device) for values in scale)
        self.network = pytorch_network.cnn(torch).to(self.device, memory_format=self.layout)
        self.weights_bytes = sum(weight.numel() * weight.element_size() for weight in self.network.parameters())
        self.model = torch.nn.parallel.DistributedDataParallel(self.network) if rank.count > 1 else self.network
        gpu = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), self.recipe.rate, eps=pytorch_network.ADAM_EPSILON, fused=gpu or None
        )
        self.samples = 0

    def run(self, follow: report.Follow, window: Window) -> None:
        rates = recipe.rates(self.recipe, self.recipe.epochs * self.steps).tolist()
        last = self.options.steps or len(rates)
        for epoch in range(self.recipe.epochs):
            totals = self.torch.zeros(2, device=self.device)  # the losses, the right ones
            order, mirrored = recipe.order(self.options.seed, epoch, len(self.images), self.recipe)
            picked, flips = (self.torch.from_numpy(values).to(self.device) for values in (order, mirrored))
            before = self.samples
            follow.epoch()
            window.at(0, self._wait)
            for step in range(self.steps):
                taken = epoch * self.steps + step
                self.optimizer.param_groups[0]["lr"] = rates[taken]
                loss = self._step(picked[self._mine(step)], flips[self._mine(step)], totals)
                follow.step(loss)
                window.at(step + 1, self._wait)
                if taken + 1 == last:
                    break
            window.end(step + 1, self._wait)
            if self.rank.count > 1:
                self.torch.distributed.all_reduce(totals)
            loss, accuracy = (totals / ((self.samples - before) * self.rank.count)).tolist()
            follow.pause()
            held: dict[str, float] = {}
            if self.rank.number == 0 and not self.options.steps:
                held["val_loss"], predicted = self.evaluated(self.data.x_held, self.data.y_held)
                held["val_accuracy"] = float(np.mean(predicted == self.data.y_held))
            follow.done(loss=loss, accuracy=accuracy, **held)
            if taken + 1 == last:
                return

    def _wait(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize(self.device)

    def _mine(self, step: int) -> slice:
        begin = step * self.batch + self.rank.number * self.share
        return slice(begin, begin + self.share)

    def _step(self, picked: Any, flips: Any, totals: Any) -> Any:
        images, labels = self.images[picked], self.labels[picked]
        if self.recipe.flip:
            images = self.torch.where(flips[:, None, None, None], images.flip(2), images)
        with self._precision():
            logits = self.model(self._scaled(images)).float()
        loss = self.torch.nn.functional.cross_entropy(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.samples += len(labels)
        loss = loss.detach()
        totals += self.torch.stack((loss * len(labels), (logits.argmax(1) == labels).sum()))
        return loss

    def _scaled(self, images: Any) -> Any:
        """uint8 [n, 32, 32, 3] to float32 [n, 3, 32, 32]."""
        small = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        return small.contiguous(memory_format=self.layout)

    def _precision(self) -> Any:
        return self.torch.autocast(self.device.type, self.torch.bfloat16, enabled=self.low)

    def evaluated(self, images: Any, labels: Any) -> tuple[float, Any]:
        """The mean loss, and what was predicted: int [n]."""
        losses, predicted = [], []
        with self.torch.inference_mode(), self._precision():
            for start in range(0, len(images), TEST_BATCH):
                cut = slice(start, start + TEST_BATCH)
                batch, truth = (self.torch.from_numpy(part[cut]).to(self.device) for part in (images, labels))
                logits = self.network(self._scaled(batch)).float()
                losses.append(self.torch.nn.functional.cross_entropy(logits, truth, reduction="sum"))
                predicted.append(logits.argmax(1))
        return float(sum(losses)) / max(1, len(images)), self.torch.cat(predicted).cpu().numpy()

    def told(self) -> dict[str, Any]:
        return {
            "share": {"device": f"{'GPU' if self.device.type == 'cuda' else 'CPU'}:{self.rank.number}",
                      "samples": self.samples},
            "memory": pytorch_network.gpu_memory_peaks(self.torch),
        }  # fmt: skip
