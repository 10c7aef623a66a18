"""Every rule, in the order a person would look: the first that fails is the root cause. A new rule is a line here."""

from __future__ import annotations

from gpucheck.model import Rule
from gpucheck.rules.container_toolkit import cdi_fresh as container_toolkit_cdi_fresh
from gpucheck.rules.container_toolkit import gpus_injectable as container_toolkit_gpus_injectable
from gpucheck.rules.container_toolkit import installed as container_toolkit_installed
from gpucheck.rules.control import told_apart as control_told_apart
from gpucheck.rules.cudnn import supports_gpu as cudnn_supports_gpu
from gpucheck.rules.docker import installed as docker_installed
from gpucheck.rules.docker import reachable as docker_reachable
from gpucheck.rules.driver import branch_supports_gpu as driver_branch_supports_gpu
from gpucheck.rules.driver import device_nodes as driver_device_nodes
from gpucheck.rules.driver import devices_accessible as driver_devices_accessible
from gpucheck.rules.driver import installed as driver_installed
from gpucheck.rules.driver import libraries_match as driver_libraries_match
from gpucheck.rules.driver import module_loaded as driver_module_loaded
from gpucheck.rules.driver import open_module_fits as driver_open_module_fits
from gpucheck.rules.driver import runs_cuda as driver_runs_cuda
from gpucheck.rules.frameworks import cuda_build as frameworks_cuda_build
from gpucheck.rules.frameworks import cudnn_new_enough as frameworks_cudnn_new_enough
from gpucheck.rules.frameworks import cudnn_supports_gpu as frameworks_cudnn_supports_gpu
from gpucheck.rules.frameworks import no_tensorflow_gpu as frameworks_no_tensorflow_gpu
from gpucheck.rules.frameworks import wheel_fits_driver as frameworks_wheel_fits_driver
from gpucheck.rules.frameworks import wheel_fits_gpu as frameworks_wheel_fits_gpu
from gpucheck.rules.gpu_use import seen_from_outside as gpu_use_seen_from_outside
from gpucheck.rules.kernel import module_built as kernel_module_built
from gpucheck.rules.kernel import nouveau_absent as kernel_nouveau_absent
from gpucheck.rules.kernel import secure_boot_allows_module as kernel_secure_boot_allows_module
from gpucheck.rules.kernels import no_gpu_idle as kernels_no_gpu_idle
from gpucheck.rules.kernels import on_device as kernels_on_device
from gpucheck.rules.nvml import all_gpus as nvml_all_gpus
from gpucheck.rules.nvml import answers as nvml_answers
from gpucheck.rules.nvml import compute_allowed as nvml_compute_allowed
from gpucheck.rules.nvml import fabric_ready as nvml_fabric_ready
from gpucheck.rules.nvml import mig_has_instances as nvml_mig_has_instances
from gpucheck.rules.pci import gpu_present as pci_gpu_present
from gpucheck.rules.pci import not_passed_through as pci_not_passed_through
from gpucheck.rules.placement import heavy_ops_on_device as placement_heavy_ops_on_device
from gpucheck.rules.placement import log_readable as placement_log_readable
from gpucheck.rules.placement import rest_is_known as placement_rest_is_known
from gpucheck.rules.placement import strict_accepted as placement_strict_accepted
from gpucheck.rules.run import finished as run_finished
from gpucheck.rules.run import image_as_asked as run_image_as_asked
from gpucheck.rules.system import gpus_not_hidden as system_gpus_not_hidden
from gpucheck.rules.system import wsl_uses_windows_driver as system_wsl_uses_windows_driver
from gpucheck.rules.timing import faster_than_control as timing_faster_than_control
from gpucheck.rules.toolkit import supports_gpu as toolkit_supports_gpu
from gpucheck.rules.training import accuracy_plausible as training_accuracy_plausible
from gpucheck.rules.training import every_device_worked as training_every_device_worked
from gpucheck.rules.training import loss_fell as training_loss_fell
from gpucheck.rules.training import on_device as training_on_device
from gpucheck.rules.verdict import witnesses_agree as verdict_witnesses_agree

# The rule whose finding answers `verify` and `prove`.
ANSWER = verdict_witnesses_agree.RULE.id

HOST_RULES: tuple[Rule, ...] = (
    pci_gpu_present.RULE,
    pci_not_passed_through.RULE,
    system_wsl_uses_windows_driver.RULE,
    driver_installed.RULE,
    kernel_module_built.RULE,
    kernel_nouveau_absent.RULE,
    kernel_secure_boot_allows_module.RULE,
    driver_open_module_fits.RULE,
    driver_branch_supports_gpu.RULE,
    driver_module_loaded.RULE,
    driver_device_nodes.RULE,
    driver_libraries_match.RULE,
    driver_devices_accessible.RULE,
    nvml_answers.RULE,
    nvml_all_gpus.RULE,
    nvml_fabric_ready.RULE,
    nvml_compute_allowed.RULE,
    nvml_mig_has_instances.RULE,
    system_gpus_not_hidden.RULE,
    driver_runs_cuda.RULE,
    toolkit_supports_gpu.RULE,
    cudnn_supports_gpu.RULE,
    docker_installed.RULE,
    docker_reachable.RULE,
    container_toolkit_installed.RULE,
    container_toolkit_gpus_injectable.RULE,
    container_toolkit_cdi_fresh.RULE,
    frameworks_no_tensorflow_gpu.RULE,
    frameworks_cuda_build.RULE,
    frameworks_wheel_fits_driver.RULE,
    frameworks_wheel_fits_gpu.RULE,
    frameworks_cudnn_supports_gpu.RULE,
    frameworks_cudnn_new_enough.RULE,
)

RUN_RULES: tuple[Rule, ...] = (
    verdict_witnesses_agree.RULE,
    run_finished.RULE,
    run_image_as_asked.RULE,
    placement_log_readable.RULE,
    placement_strict_accepted.RULE,
    placement_heavy_ops_on_device.RULE,
    placement_rest_is_known.RULE,
    kernels_on_device.RULE,
    kernels_no_gpu_idle.RULE,
    gpu_use_seen_from_outside.RULE,
    control_told_apart.RULE,
    training_on_device.RULE,
    training_every_device_worked.RULE,
    training_loss_fell.RULE,
    training_accuracy_plausible.RULE,
    timing_faster_than_control.RULE,
)

# Those that a program which is not ours can be asked: it has no probe, no control run, no loss that we know of.
PROVE_RULES: tuple[Rule, ...] = (
    verdict_witnesses_agree.RULE,
    run_finished.RULE,
    run_image_as_asked.RULE,
    placement_log_readable.RULE,
    placement_heavy_ops_on_device.RULE,
    placement_rest_is_known.RULE,
    kernels_on_device.RULE,
    kernels_no_gpu_idle.RULE,
    gpu_use_seen_from_outside.RULE,
)
