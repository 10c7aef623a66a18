"""What the training of a run came to."""

from __future__ import annotations

from gpucheck.facts.version import fact


@fact
class Epoch:
    loss: float | None  # None = no finite number: it diverged
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    steps: int


@fact
class Share:
    device: str
    samples: int


@fact
class Training:
    history: tuple[Epoch, ...]
    recipe: str  # fast or tutorial
    precision: str  # float32, bfloat16, float16
    epochs_asked: int
    batch_size: int
    samples: int
    seed: int
    deterministic: str | None  # None = the same seed gives the same run; else why not
    data: str  # what it trained on, in words
    real: bool  # CIFAR-10, not the synthetic set
    test_accuracy: float | None
    gpu_memory_peak_bytes: tuple[int, ...] | None  # in use at most, of each GPU that the training saw; None = not told
    weights_bytes: int  # of the model's parameters, as the payload counts them
    shares: tuple[Share, ...]  # what each device got of the training


@fact
class ClassScore:
    name: str
    precision: float
    recall: float
    f1: float
    support: int  # test images of this class


@fact
class Evaluation:
    """On the test set. Rows of `confusion` are the true classes, columns the predicted ones."""

    accuracy: float
    classes: tuple[ClassScore, ...]
    macro: ClassScore  # the plain mean over the classes
    weighted: ClassScore  # weighted by support
    confusion: tuple[tuple[int, ...], ...]
