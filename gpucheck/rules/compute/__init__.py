"""Rules of `doctor --deep`: what each GPU does when it is given work."""
