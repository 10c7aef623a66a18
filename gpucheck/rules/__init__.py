"""Every rule, in the order a person would look: the first that fails is the root cause. A new rule is a line here."""

from __future__ import annotations

from gpucheck.model import Rule
from gpucheck.rules.cloud import all_gpus_there as cloud_all_gpus_there
from gpucheck.rules.cloud import instance_type_told as cloud_instance_type_told
from gpucheck.rules.cloud import no_reclaim_coming as cloud_no_reclaim_coming
from gpucheck.rules.compute import context_made as compute_context_made
from gpucheck.rules.compute import copies_intact as compute_copies_intact
from gpucheck.rules.compute import copy_bandwidth as compute_copy_bandwidth
from gpucheck.rules.compute import kernel_correct as compute_kernel_correct
from gpucheck.rules.compute import memory_intact as compute_memory_intact
from gpucheck.rules.compute import peers_intact as compute_peers_intact
from gpucheck.rules.container_toolkit import cdi_fresh as container_toolkit_cdi_fresh
from gpucheck.rules.container_toolkit import cdi_unambiguous as container_toolkit_cdi_unambiguous
from gpucheck.rules.container_toolkit import cdi_understood as container_toolkit_cdi_understood
from gpucheck.rules.container_toolkit import cgroups_fit as container_toolkit_cgroups_fit
from gpucheck.rules.container_toolkit import devices_survive_reload as container_toolkit_devices_survive_reload
from gpucheck.rules.container_toolkit import gpus_flag_answered as container_toolkit_gpus_flag_answered
from gpucheck.rules.container_toolkit import gpus_injectable as container_toolkit_gpus_injectable
from gpucheck.rules.container_toolkit import installed as container_toolkit_installed
from gpucheck.rules.container_toolkit import no_known_fault as container_toolkit_no_known_fault
from gpucheck.rules.container_toolkit import selinux_allows_devices as container_toolkit_selinux_allows_devices
from gpucheck.rules.control import told_apart as control_told_apart
from gpucheck.rules.cudnn import supports_gpu as cudnn_supports_gpu
from gpucheck.rules.docker import installed as docker_installed
from gpucheck.rules.docker import layers_shared as docker_layers_shared
from gpucheck.rules.docker import podman_obeys_gpus as docker_podman_obeys_gpus
from gpucheck.rules.docker import reachable as docker_reachable
from gpucheck.rules.docker import same_kernel as docker_same_kernel
from gpucheck.rules.driver import branch_supports_gpu as driver_branch_supports_gpu
from gpucheck.rules.driver import device_nodes as driver_device_nodes
from gpucheck.rules.driver import devices_accessible as driver_devices_accessible
from gpucheck.rules.driver import hmm_off_among_blackwells as driver_hmm_off_among_blackwells
from gpucheck.rules.driver import installed as driver_installed
from gpucheck.rules.driver import libraries_match as driver_libraries_match
from gpucheck.rules.driver import module_loaded as driver_module_loaded
from gpucheck.rules.driver import open_module_fits as driver_open_module_fits
from gpucheck.rules.driver import runs_cuda as driver_runs_cuda
from gpucheck.rules.driver import survives_suspend as driver_survives_suspend
from gpucheck.rules.frameworks import cuda_build as frameworks_cuda_build
from gpucheck.rules.frameworks import cudnn_new_enough as frameworks_cudnn_new_enough
from gpucheck.rules.frameworks import cudnn_supports_gpu as frameworks_cudnn_supports_gpu
from gpucheck.rules.frameworks import jax_plugin_fits as frameworks_jax_plugin_fits
from gpucheck.rules.frameworks import no_tensorflow_gpu as frameworks_no_tensorflow_gpu
from gpucheck.rules.frameworks import nvidia_wheels_there as frameworks_nvidia_wheels_there
from gpucheck.rules.frameworks import one_cuda as frameworks_one_cuda
from gpucheck.rules.frameworks import one_jax_plugin as frameworks_one_jax_plugin
from gpucheck.rules.frameworks import one_uses_gpu as frameworks_one_uses_gpu
from gpucheck.rules.frameworks import wheel_fits_driver as frameworks_wheel_fits_driver
from gpucheck.rules.frameworks import wheel_fits_gpu as frameworks_wheel_fits_gpu
from gpucheck.rules.frameworks import wheels_agree as frameworks_wheels_agree
from gpucheck.rules.gpu_use import seen_from_outside as gpu_use_seen_from_outside
from gpucheck.rules.image import asks_for_compute as image_asks_for_compute
from gpucheck.rules.image import cudnn_serves_gpu as image_cudnn_serves_gpu
from gpucheck.rules.image import driver_runs_cuda as image_driver_runs_cuda
from gpucheck.rules.image import for_this_architecture as image_for_this_architecture
from gpucheck.rules.image import gpus_not_hidden as image_gpus_not_hidden
from gpucheck.rules.image import has_code_for_gpu as image_has_code_for_gpu
from gpucheck.rules.image import own_libcuda_fits as image_own_libcuda_fits
from gpucheck.rules.image import requirements_met as image_requirements_met
from gpucheck.rules.kernel import dkms_builds as kernel_dkms_builds
from gpucheck.rules.kernel import module_built as kernel_module_built
from gpucheck.rules.kernel import nouveau_absent as kernel_nouveau_absent
from gpucheck.rules.kernel import secure_boot_allows_module as kernel_secure_boot_allows_module
from gpucheck.rules.kernel_log import adapter_initialises as kernel_log_adapter_initialises
from gpucheck.rules.kernel_log import no_application_xid as kernel_log_no_application_xid
from gpucheck.rules.kernel_log import no_early_sign as kernel_log_no_early_sign
from gpucheck.rules.kernel_log import no_gpu_off_the_bus as kernel_log_no_gpu_off_the_bus
from gpucheck.rules.kernel_log import no_gsp_failure as kernel_log_no_gsp_failure
from gpucheck.rules.kernel_log import no_hardware_xid as kernel_log_no_hardware_xid
from gpucheck.rules.kernel_log import no_link_error as kernel_log_no_link_error
from gpucheck.rules.kernel_log import no_pcie_error as kernel_log_no_pcie_error
from gpucheck.rules.kernel_log import no_recovery_asked as kernel_log_no_recovery_asked
from gpucheck.rules.kernel_log import power_connected as kernel_log_power_connected
from gpucheck.rules.kernel_log import readable as kernel_log_readable
from gpucheck.rules.kernels import no_gpu_idle as kernels_no_gpu_idle
from gpucheck.rules.kernels import on_device as kernels_on_device
from gpucheck.rules.linker import compat_allowed as linker_compat_allowed
from gpucheck.rules.linker import finds_drivers_libcuda as linker_finds_drivers_libcuda
from gpucheck.rules.linker import no_stub as linker_no_stub
from gpucheck.rules.nvml import all_gpus as nvml_all_gpus
from gpucheck.rules.nvml import answers as nvml_answers
from gpucheck.rules.nvml import compute_allowed as nvml_compute_allowed
from gpucheck.rules.nvml import confidential_ready as nvml_confidential_ready
from gpucheck.rules.nvml import exclusive_free as nvml_exclusive_free
from gpucheck.rules.nvml import fabric_ready as nvml_fabric_ready
from gpucheck.rules.nvml import inforom_valid as nvml_inforom_valid
from gpucheck.rules.nvml import like_gpus_alike as nvml_like_gpus_alike
from gpucheck.rules.nvml import memory_repairable as nvml_memory_repairable
from gpucheck.rules.nvml import memory_unused as nvml_memory_unused
from gpucheck.rules.nvml import mig_has_instances as nvml_mig_has_instances
from gpucheck.rules.nvml import no_mode_pending as nvml_no_mode_pending
from gpucheck.rules.nvml import no_page_retirement_pending as nvml_no_page_retirement_pending
from gpucheck.rules.nvml import no_recovery_needed as nvml_no_recovery_needed
from gpucheck.rules.nvml import no_row_remap_pending as nvml_no_row_remap_pending
from gpucheck.rules.nvml import no_uncorrected_errors as nvml_no_uncorrected_errors
from gpucheck.rules.nvml import not_slowed as nvml_not_slowed
from gpucheck.rules.nvml import nvlinks_clean as nvml_nvlinks_clean
from gpucheck.rules.nvml import nvlinks_up as nvml_nvlinks_up
from gpucheck.rules.nvml import persistence_on as nvml_persistence_on
from gpucheck.rules.nvml import power_limit_default as nvml_power_limit_default
from gpucheck.rules.nvml import power_uncapped as nvml_power_uncapped
from gpucheck.rules.nvml import spare_rows_left as nvml_spare_rows_left
from gpucheck.rules.nvml import temperature_margin as nvml_temperature_margin
from gpucheck.rules.packages import one_installer as packages_one_installer
from gpucheck.rules.pci import bars_assigned as pci_bars_assigned
from gpucheck.rules.pci import every_gpu_usable as pci_every_gpu_usable
from gpucheck.rules.pci import gpu_answers as pci_gpu_answers
from gpucheck.rules.pci import gpu_present as pci_gpu_present
from gpucheck.rules.pci import not_passed_through as pci_not_passed_through
from gpucheck.rules.pci import peers_not_redirected as pci_peers_not_redirected
from gpucheck.rules.pcie import full_speed as pcie_full_speed
from gpucheck.rules.pcie import full_width as pcie_full_width
from gpucheck.rules.placement import heavy_ops_on_device as placement_heavy_ops_on_device
from gpucheck.rules.placement import log_readable as placement_log_readable
from gpucheck.rules.placement import rest_is_known as placement_rest_is_known
from gpucheck.rules.placement import strict_accepted as placement_strict_accepted
from gpucheck.rules.run import finished as run_finished
from gpucheck.rules.run import image_as_asked as run_image_as_asked
from gpucheck.rules.services import fabric_manager_fits_driver as services_fabric_manager_fits_driver
from gpucheck.rules.system import container_given_gpus as system_container_given_gpus
from gpucheck.rules.system import cpu_not_forced as system_cpu_not_forced
from gpucheck.rules.system import driver_capabilities as system_driver_capabilities
from gpucheck.rules.system import gpus_not_hidden as system_gpus_not_hidden
from gpucheck.rules.system import images_for_processor as system_images_for_processor
from gpucheck.rules.system import no_debug_variables as system_no_debug_variables
from gpucheck.rules.system import shm_large_enough as system_shm_large_enough
from gpucheck.rules.system import supported as system_supported
from gpucheck.rules.system import wsl_uses_windows_driver as system_wsl_uses_windows_driver
from gpucheck.rules.timing import faster_than_control as timing_faster_than_control
from gpucheck.rules.toolkit import supports_gpu as toolkit_supports_gpu
from gpucheck.rules.training import accuracy_plausible as training_accuracy_plausible
from gpucheck.rules.training import every_device_worked as training_every_device_worked
from gpucheck.rules.training import loss_fell as training_loss_fell
from gpucheck.rules.training import on_device as training_on_device
from gpucheck.rules.verdict import witnesses_agree as verdict_witnesses_agree
from gpucheck.rules.world import all_reduce_exact as world_all_reduce_exact
from gpucheck.rules.world import every_rank_worked as world_every_rank_worked
from gpucheck.rules.world import ranks_met as world_ranks_met

# The rule whose finding answers `verify` and `prove`.
ANSWER = verdict_witnesses_agree.RULE.id

HOST_RULES: tuple[Rule, ...] = (
    system_supported.RULE,
    pci_gpu_present.RULE,
    pci_not_passed_through.RULE,
    cloud_instance_type_told.RULE,
    cloud_all_gpus_there.RULE,
    cloud_no_reclaim_coming.RULE,
    pci_gpu_answers.RULE,
    pci_bars_assigned.RULE,
    system_wsl_uses_windows_driver.RULE,
    driver_installed.RULE,
    packages_one_installer.RULE,
    kernel_dkms_builds.RULE,
    kernel_module_built.RULE,
    kernel_secure_boot_allows_module.RULE,
    kernel_nouveau_absent.RULE,
    driver_open_module_fits.RULE,
    driver_branch_supports_gpu.RULE,
    driver_module_loaded.RULE,
    system_container_given_gpus.RULE,
    driver_device_nodes.RULE,
    system_driver_capabilities.RULE,
    driver_libraries_match.RULE,
    driver_devices_accessible.RULE,
    pci_every_gpu_usable.RULE,
    kernel_log_readable.RULE,
    kernel_log_power_connected.RULE,
    kernel_log_no_gpu_off_the_bus.RULE,
    kernel_log_no_gsp_failure.RULE,
    kernel_log_adapter_initialises.RULE,
    kernel_log_no_hardware_xid.RULE,
    kernel_log_no_recovery_asked.RULE,
    kernel_log_no_link_error.RULE,
    kernel_log_no_early_sign.RULE,
    kernel_log_no_pcie_error.RULE,
    kernel_log_no_application_xid.RULE,
    nvml_answers.RULE,
    nvml_all_gpus.RULE,
    nvml_memory_repairable.RULE,
    nvml_no_recovery_needed.RULE,
    nvml_no_page_retirement_pending.RULE,
    nvml_no_row_remap_pending.RULE,
    nvml_no_uncorrected_errors.RULE,
    nvml_spare_rows_left.RULE,
    nvml_inforom_valid.RULE,
    services_fabric_manager_fits_driver.RULE,
    nvml_fabric_ready.RULE,
    nvml_nvlinks_up.RULE,
    nvml_nvlinks_clean.RULE,
    nvml_confidential_ready.RULE,
    nvml_compute_allowed.RULE,
    nvml_mig_has_instances.RULE,
    nvml_no_mode_pending.RULE,
    pcie_full_width.RULE,
    pcie_full_speed.RULE,
    nvml_not_slowed.RULE,
    nvml_temperature_margin.RULE,
    nvml_power_uncapped.RULE,
    nvml_power_limit_default.RULE,
    nvml_persistence_on.RULE,
    nvml_memory_unused.RULE,
    nvml_exclusive_free.RULE,
    nvml_like_gpus_alike.RULE,
    linker_no_stub.RULE,
    linker_compat_allowed.RULE,
    linker_finds_drivers_libcuda.RULE,
    system_gpus_not_hidden.RULE,
    system_shm_large_enough.RULE,
    system_cpu_not_forced.RULE,
    system_no_debug_variables.RULE,
    system_images_for_processor.RULE,
    driver_runs_cuda.RULE,
    driver_survives_suspend.RULE,
    driver_hmm_off_among_blackwells.RULE,
    pci_peers_not_redirected.RULE,
    toolkit_supports_gpu.RULE,
    cudnn_supports_gpu.RULE,
    docker_installed.RULE,
    docker_reachable.RULE,
    docker_same_kernel.RULE,
    docker_layers_shared.RULE,
    container_toolkit_installed.RULE,
    container_toolkit_cdi_understood.RULE,
    container_toolkit_cdi_unambiguous.RULE,
    container_toolkit_gpus_injectable.RULE,
    container_toolkit_cdi_fresh.RULE,
    container_toolkit_cgroups_fit.RULE,
    container_toolkit_no_known_fault.RULE,
    container_toolkit_gpus_flag_answered.RULE,
    docker_podman_obeys_gpus.RULE,
    container_toolkit_devices_survive_reload.RULE,
    container_toolkit_selinux_allows_devices.RULE,
    frameworks_no_tensorflow_gpu.RULE,
    frameworks_one_uses_gpu.RULE,
    frameworks_cuda_build.RULE,
    frameworks_nvidia_wheels_there.RULE,
    frameworks_jax_plugin_fits.RULE,
    frameworks_one_jax_plugin.RULE,
    frameworks_wheel_fits_driver.RULE,
    frameworks_wheel_fits_gpu.RULE,
    frameworks_cudnn_supports_gpu.RULE,
    frameworks_cudnn_new_enough.RULE,
    frameworks_wheels_agree.RULE,
    frameworks_one_cuda.RULE,
)

# Asked after HOST_RULES where an image is named: `doctor --image`.
IMAGE_RULES: tuple[Rule, ...] = (
    image_for_this_architecture.RULE,
    image_requirements_met.RULE,
    image_driver_runs_cuda.RULE,
    image_has_code_for_gpu.RULE,
    image_cudnn_serves_gpu.RULE,
    image_asks_for_compute.RULE,
    image_gpus_not_hidden.RULE,
    image_own_libcuda_fits.RULE,
)

# Asked after HOST_RULES where it is wanted: `doctor --deep`.
DEEP_RULES: tuple[Rule, ...] = (
    compute_context_made.RULE,
    compute_copies_intact.RULE,
    compute_kernel_correct.RULE,
    compute_memory_intact.RULE,
    compute_copy_bandwidth.RULE,
    compute_peers_intact.RULE,
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

# Asked after RUN_RULES where several nodes train together: `verify --world`.
WORLD_RULES: tuple[Rule, ...] = (
    world_ranks_met.RULE,
    world_all_reduce_exact.RULE,
    world_every_rank_worked.RULE,
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
