"""A verdict holds for one image. A tag can move between the question and the run, so the ids are compared."""

from gpucheck.facts import Run
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure


def judge(run: Run) -> Outcome:
    if run.where != "container":
        return skip("it ran on the host, in no image" + (f" ({run.where_why})" if run.where_why else ""))
    if run.image_asked is None or run.image_ran is None:
        return unsure("the engine did not say which image ran")
    if run.image_asked != run.image_ran:
        return bad(f"asked for image {run.image_asked[:19]}, observed {run.image_ran[:19]}")
    if run.recipe_asked is not None and run.recipe_asked != run.recipe_ran:  # of anybody's image none was asked for
        return bad(f"asked for recipe {run.recipe_asked}, the image says {run.recipe_ran}")
    return ok(f"image {run.image_ran[:19]}" + (f", recipe {run.recipe_asked}" if run.recipe_asked else ""))


RULE = Rule(
    id="run.image-as-asked",
    title="What was observed is the image that was asked for",
    judge=judge,
    remedy=Remedy(
        text="another build moved the tag in the middle; run it again",
        commands={"": ("gpucheck verify",)},
        impact="none",
        verify="gpucheck verify",
    ),
)
