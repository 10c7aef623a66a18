"""model.fit as a Keras user calls it, with Keras 2 or 3: followed, and profiled for a few steps."""

from __future__ import annotations

import contextlib
from typing import Any

from . import report
from .window import Window


class Enough(Exception):
    """As many steps as were asked for are done: Keras itself can end a training only with a whole epoch."""


def fit(
    keras: Any, model: Any, follow: report.Follow, window: Window, most: int | None, *data: Any, **how: Any
) -> None:
    """model.fit(*data, **how), ended after `most` steps, or a few more where several are one call."""
    callback = _callback(keras, follow, window, most)
    with contextlib.suppress(Enough):
        model.fit(*data, epochs=follow.epochs, verbose=2, callbacks=[callback], **how)


def samples(follow: report.Follow, batch_size: int, most: int) -> int:
    """That the training has seen: `most` in an epoch, whose last batch may be smaller."""
    return sum(min(epoch["steps"] * batch_size, most) for epoch in follow.history)


def _callback(keras: Any, follow: report.Follow, window: Window, most: int | None) -> Any:
    class Followed(keras.callbacks.Callback):  # type: ignore[misc]
        before = 0  # steps of the epochs before
        done = 0  # of this one
        logs: Any = None

        def wait(self) -> None:
            """Metrics are made from the step's own results: reading them as numbers waits for it."""
            for value in (self.logs or {}).values():
                float(value)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.done = 0
            follow.epoch()
            window.at(0, self.wait)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            number, self.done, self.logs = batch + 1 - self.done, batch + 1, logs
            follow.step(logs["loss"], number)
            window.at(self.done, self.wait)
            if most and self.before + self.done >= most:
                self.trained()
                self.told(logs)
                raise Enough

        def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
            self.trained()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.before += self.done
            self.told(logs)

        def trained(self) -> None:
            self.wait()
            window.end(self.done, self.wait)
            follow.pause()

        def told(self, logs: Any) -> None:
            follow.done(**{name: float(value) for name, value in logs.items()})

    return Followed()
