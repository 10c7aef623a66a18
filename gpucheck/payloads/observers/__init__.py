"""What switches on the logs and profilers of one framework. Standalone: also loaded by path, into any process."""
