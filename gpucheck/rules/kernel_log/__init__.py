"""Rules of a host: kernel_log."""
