"""What `gpucheck prove` starts inside every Python process of the command that it follows.

It is not to be felt there: it prints nothing, imports no framework, and whatever goes wrong in it is written down among
its own problems and goes no further. That is why `except Exception` is right here and nowhere else.
"""
