"""The programs that are observed. They import nothing of gpucheck and report without judging."""
