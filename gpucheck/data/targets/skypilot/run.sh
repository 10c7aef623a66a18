# As root, whose Docker it is, and for so many minutes at most. What doctor finds is said, and verify decides.
sudo timeout ${minutes}m sh -c '
  "$$0" doctor
  "$$0" build --framework "$$1" && "$$0" verify --framework "$$1"
' "$$HOME/gpucheck/bin/gpucheck" $framework
