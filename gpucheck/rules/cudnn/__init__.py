"""Rules of a host: cudnn."""
