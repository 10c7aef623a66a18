/* The fake NVML of the tests, and the functions that only other tools ask: they are told what the profile says. */
#include "../../tests/fakenvml/fakenvml.c"

DEVICE_U32(nvmlDeviceGetFanSpeed, "fan")
DEVICE_U32(nvmlDeviceGetPowerManagementLimit, "power_limit")
DEVICE_U32(nvmlDeviceGetDisplayActive, "display_active")
DEVICE_U32(nvmlDeviceGetDisplayMode, "display_mode")
DEVICE_CHOICE(nvmlDeviceGetApplicationsClock, "max_clocks")

int nvmlDeviceGetIndex(const Device *device, u32 *out)
{
    ENTER(out);
    *out = (u32)device->gpu;
    return SUCCESS;
}

int nvmlDeviceIsMigDeviceHandle(const Device *device, u32 *out)
{
    ENTER(out);
    *out = device->mig >= 0;
    return SUCCESS;
}

static int idle(u32 *out, u32 *period)
{
    *out = 0;
    *period = 167000; /* microseconds */
    return SUCCESS;
}

int nvmlDeviceGetEncoderUtilization(const Device *device, u32 *out, u32 *period) { ENTER(out); return idle(out, period); }
int nvmlDeviceGetDecoderUtilization(const Device *device, u32 *out, u32 *period) { ENTER(out); return idle(out, period); }

int nvmlDeviceGetPcieThroughput(const Device *device, u32 counter, u32 *out)
{
    (void)counter;
    ENTER(out);
    *out = 0;
    return SUCCESS;
}

/* All of the profile's errors are the DRAM's (2). */
int nvmlDeviceGetMemoryErrorCounter(const Device *device, u32 type, u32 counter, u32 location, u64 *out)
{
    int result = nvmlDeviceGetTotalEccErrors(device, type, counter, out);
    if (!result && location != 2) *out = 0;
    return result;
}

/* No sample of any process. */
int nvmlDeviceGetProcessUtilization(const Device *device, void *samples, u32 *count, u64 since)
{
    (void)samples;
    (void)since;
    ENTER(count);
    *count = 0;
    return NOT_FOUND;
}

/* Windows only. */
int nvmlDeviceGetDriverModel(const Device *device, u32 *current, u32 *pending)
{
    ENTER(current && pending ? current : NULL);
    return NOT_SUPPORTED;
}
int nvmlDeviceGetDriverModel_v2(const Device *device, u32 *current, u32 *pending)
{
    return nvmlDeviceGetDriverModel(device, current, pending);
}
