/* A libnvidia-ml.so.1 that answers from a profile, for the real bindings (nvidia-ml-py) to load.
 *
 *   python tests/fakenvml/build.py FOLDER      builds FOLDER/libnvidia-ml.so.1
 *
 * FAKE_NVML_PROFILE names a file of key=value lines. Lists are separated by spaces; numbers may be 0x...
 * A file renamed into its place is read at the next call, so that a test can change the machine while it is asked.
 *
 *   count=8                                    GPUs
 *   system.driver_version=580.95.05            the system's own
 *   gpu.name=NVIDIA H200    gpu.3.name=...     of every GPU, or of one; a key that is missing: NOT_SUPPORTED (3)
 *   gpu.0.mig.1.uuid=MIG-...                   of the second MIG device of the first GPU
 *   system.fabric_v2_only=1                    a driver that does not know version 3 of the fabric's struct
 *   ret.<symbol>[.<gpu>]=15                    what a function returns instead; also hang, abort, segv; <symbol> may be *
 *   gpu.name=\xff\xfe    gpu.name=overflow     bytes that are no text; a whole buffer without the NUL at its end
 *
 * bindings.h is written by build.py from the bindings' ctypes classes. Layouts here are from nvml.h (API version 13),
 * so that a difference between the two stops the build.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings.h"

typedef unsigned int u32;
typedef unsigned long long u64;

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    CORRUPTED_INFOROM = 14,
    ARGUMENT_VERSION_MISMATCH = 25,
};

/* ---- layouts: F(struct, type, field, array suffix) ---- */

#define c_nvmlMemory_t_FIELDS(F, T) F(T, u64, total, ) F(T, u64, free, ) F(T, u64, used, )
#define c_nvmlMemory_v2_t_FIELDS(F, T) \
    F(T, u32, version, ) F(T, u64, total, ) F(T, u64, reserved, ) F(T, u64, free, ) F(T, u64, used, )
#define c_nvmlBAR1Memory_t_FIELDS(F, T) F(T, u64, bar1Total, ) F(T, u64, bar1Free, ) F(T, u64, bar1Used, )
#define c_nvmlUtilization_t_FIELDS(F, T) F(T, u32, gpu, ) F(T, u32, memory, )
#define c_nvmlTemperature_v1_t_FIELDS(F, T) F(T, u32, version, ) F(T, u32, sensorType, ) F(T, int, temperature, )
#define c_nvmlProcessInfo_v2_t_FIELDS(F, T) \
    F(T, u32, pid, ) F(T, u64, usedGpuMemory, ) F(T, u32, gpuInstanceId, ) F(T, u32, computeInstanceId, )
#define c_nvmlConfComputeSystemState_t_FIELDS(F, T) \
    F(T, u32, environment, ) F(T, u32, ccFeature, ) F(T, u32, devToolsMode, )
#define nvmlPciInfo_t_FIELDS(F, T) \
    F(T, char, busIdLegacy, [16]) F(T, u32, domain, ) F(T, u32, bus, ) F(T, u32, device, ) \
    F(T, u32, pciDeviceId, ) F(T, u32, pciSubSystemId, ) F(T, char, busId, [32])
#define c_nvmlRowRemapperHistogramValues_FIELDS(F, T) \
    F(T, u32, max, ) F(T, u32, high, ) F(T, u32, partial, ) F(T, u32, low, ) F(T, u32, none, )
#define c_nvmlMarginTemperature_v1_t_FIELDS(F, T) F(T, u32, version, ) F(T, int, marginTemperature, )
#define c_nvmlEccSramErrorStatus_v1_t_FIELDS(F, T) \
    F(T, u32, version, ) F(T, u64, aggregateUncParity, ) F(T, u64, aggregateUncSecDed, ) F(T, u64, aggregateCor, ) \
    F(T, u64, volatileUncParity, ) F(T, u64, volatileUncSecDed, ) F(T, u64, volatileCor, ) \
    F(T, u64, aggregateUncBucketL2, ) F(T, u64, aggregateUncBucketSm, ) F(T, u64, aggregateUncBucketPcie, ) \
    F(T, u64, aggregateUncBucketMcu, ) F(T, u64, aggregateUncBucketOther, ) F(T, u32, bThresholdExceeded, )
#define c_nvmlFieldValue_t_FIELDS(F, T) \
    F(T, u32, fieldId, ) F(T, u32, scopeId, ) F(T, int64_t, timestamp, ) F(T, int64_t, latencyUsec, ) \
    F(T, u32, valueType, ) F(T, u32, nvmlReturn, ) F(T, u64, value, )

#define DECLARE(T, type, field, array) type field array;
#define SAME_PLACE(T, type, field, array) \
    _Static_assert(offsetof(T, field) == OFFSETOF_##T##_##field, #T "." #field " differs from nvidia-ml-py"); \
    _Static_assert(sizeof ((T *)0)->field == SIZEOF_##T##_##field, #T "." #field " differs from nvidia-ml-py");
#define ONE(T, type, field, array) +1
#define STRUCT(T) \
    typedef struct { T##_FIELDS(DECLARE, T) } T; \
    T##_FIELDS(SAME_PLACE, T) \
    _Static_assert(sizeof(T) == SIZEOF_##T, "the size of " #T " differs from nvidia-ml-py"); \
    _Static_assert(0 T##_FIELDS(ONE, T) == FIELDS_##T, "the fields of " #T " differ from nvidia-ml-py");
#define VERSION(T, n) ((u32)sizeof(T) | (u32)(n) << 24)
#define SAME_VERSION(T, n, constant) \
    _Static_assert(VERSION(T, n) == constant, "the version of " #T " differs from nvidia-ml-py");

STRUCT(c_nvmlMemory_t)
STRUCT(c_nvmlMemory_v2_t)
STRUCT(c_nvmlBAR1Memory_t)
STRUCT(c_nvmlUtilization_t)
STRUCT(c_nvmlTemperature_v1_t)
STRUCT(c_nvmlProcessInfo_v2_t)
STRUCT(c_nvmlConfComputeSystemState_t)
STRUCT(nvmlPciInfo_t)
STRUCT(c_nvmlRowRemapperHistogramValues)
STRUCT(c_nvmlMarginTemperature_v1_t)
STRUCT(c_nvmlEccSramErrorStatus_v1_t)
STRUCT(c_nvmlFieldValue_t)
SAME_VERSION(c_nvmlMemory_v2_t, 2, BINDING_nvmlMemory_v2)
SAME_VERSION(c_nvmlTemperature_v1_t, 1, BINDING_nvmlTemperature_v1)
SAME_VERSION(c_nvmlMarginTemperature_v1_t, 1, BINDING_nvmlMarginTemperature_v1)
SAME_VERSION(c_nvmlEccSramErrorStatus_v1_t, 1, BINDING_nvmlEccSramErrorStatus_v1)

/* The probe has these of its own: the binding's have differed from nvml.h. */
typedef struct { uint8_t cluster[16]; u32 status, clique; uint8_t state; } Fabric_v1;
typedef struct { u32 version; uint8_t cluster[16]; u32 status, clique; uint8_t state; u32 health; } Fabric_v2;
typedef struct { Fabric_v2 v2; uint8_t summary; } Fabric_v3;
_Static_assert(VERSION(Fabric_v2, 2) == 0x02000024u && VERSION(Fabric_v3, 3) == 0x03000028u, "not nvml.h's layout");

/* ---- the profile ---- */

enum { MOST_KEYS = 8192, MOST_GPUS = 64, MOST_MIG = 7, MOST_NUMBERS = 64 };

typedef struct { int gpu, mig; } Device; /* mig -1: the GPU itself */

typedef struct { char *key, *value; } Pair;
static Pair profile[MOST_KEYS]; /* sorted by key */
static int keys, initialised;
static struct stat read_from;
static Device devices[MOST_GPUS][1 + MOST_MIG];

static int by_key(const void *a, const void *b) { return strcmp(((const Pair *)a)->key, ((const Pair *)b)->key); }

/* "\xff" to the byte that it names, in place. */
static char *unescaped(char *text)
{
    char *out = text;
    for (char *at = text; *at; out++) {
        unsigned int byte;
        int escape = at[0] == '\\' && at[1] == 'x' && sscanf(at + 2, "%2x", &byte) == 1;
        *out = escape ? (char)byte : *at;
        at += escape ? 4 : 1;
    }
    *out = 0;
    return text;
}

static void load(void)
{
    static char line[4096];
    const char *path = getenv("FAKE_NVML_PROFILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) {
        fprintf(stderr, "fakenvml: FAKE_NVML_PROFILE (%s) cannot be read\n", path ? path : "not set");
        exit(2);
    }
    while (keys) {
        free(profile[--keys].key);
        free(profile[keys].value);
    }
    fstat(fileno(file), &read_from);
    while (keys < MOST_KEYS && fgets(line, sizeof line, file)) {
        char *equals = strchr(line, '=');
        line[strcspn(line, "\n")] = 0;
        if (!equals) continue;
        *equals = 0;
        profile[keys].key = strdup(line);
        profile[keys++].value = unescaped(strdup(equals + 1));
    }
    fclose(file);
    qsort(profile, (size_t)keys, sizeof *profile, by_key);
}

/* Only at the start of a call: it takes away what find() gave. */
static void refresh(void)
{
    struct stat now;
    const char *path = getenv("FAKE_NVML_PROFILE");
    if (path && !stat(path, &now) && (now.st_ino != read_from.st_ino || now.st_mtim.tv_nsec != read_from.st_mtim.tv_nsec
        || now.st_mtim.tv_sec != read_from.st_mtim.tv_sec)) load();
}

static const char *find(const char *key)
{
    Pair wanted = {(char *)key, NULL};
    if (!keys) load();
    const Pair *found = bsearch(&wanted, profile, (size_t)keys, sizeof *profile, by_key);
    return found ? found->value : NULL;
}

static const char *of(const Device *device, const char *key)
{
    char full[128];
    const char *value;
    if (device->mig >= 0) {
        snprintf(full, sizeof full, "gpu.%d.mig.%d.%s", device->gpu, device->mig, key);
        return find(full);
    }
    snprintf(full, sizeof full, "gpu.%d.%s", device->gpu, key);
    if ((value = find(full))) return value;
    snprintf(full, sizeof full, "gpu.%s", key);
    return find(full);
}

static int numbers(const char *text, u64 *out)
{
    int n = 0;
    for (char *end; text && n < MOST_NUMBERS; text = end) {
        u64 value = strtoull(text, &end, 0);
        if (end == text) break;
        out[n++] = value;
    }
    return n;
}

/* What the profile makes this function return: 0 = its real answer. */
static int fault(const char *symbol, int gpu)
{
    char key[4][160];
    refresh();
    snprintf(key[0], sizeof key[0], "ret.%s.%d", symbol, gpu);
    snprintf(key[1], sizeof key[1], "ret.%s", symbol);
    snprintf(key[2], sizeof key[2], "ret.*.%d", gpu);
    snprintf(key[3], sizeof key[3], "ret.*");
    for (int i = 0; i < 4; i++) {
        const char *value = find(key[i]);
        if (!value) continue;
        if (!strcmp(value, "hang")) for (;;) pause();
        if (!strcmp(value, "abort")) abort();
        if (!strcmp(value, "segv")) raise(SIGSEGV);
        return atoi(value);
    }
    return SUCCESS;
}

static int enter_system(const char *symbol, const void *out)
{
    int result = fault(symbol, -1);
    if (result) return result;
    if (!initialised) return UNINITIALIZED;
    return out ? SUCCESS : INVALID_ARGUMENT;
}

static int enter(const char *symbol, const Device *device, const void *out)
{
    if (!initialised) return UNINITIALIZED;
    if (device < devices[0] || device >= devices[MOST_GPUS]) return INVALID_ARGUMENT;
    int result = fault(symbol, device->gpu);
    return result ? result : out ? SUCCESS : INVALID_ARGUMENT;
}

#define ENTER_SYSTEM(out) do { int r_ = enter_system(__func__, out); if (r_) return r_; } while (0)
#define ENTER(out) do { int r_ = enter(__func__, device, out); if (r_) return r_; } while (0)

static int text(const char *value, char *out, u32 size)
{
    if (!value) return NOT_SUPPORTED;
    if (!strcmp(value, "overflow")) {
        memset(out, 'A', size);
        return SUCCESS;
    }
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, value);
    return SUCCESS;
}

static int number(const char *value, int place, u64 *out)
{
    u64 all[MOST_NUMBERS];
    if (!value) return NOT_SUPPORTED;
    if (numbers(value, all) <= place) return NOT_SUPPORTED;
    *out = all[place];
    return SUCCESS;
}

static int number32(const char *value, int place, u32 *out)
{
    u64 wide;
    int result = number(value, place, &wide);
    if (!result) *out = (u32)wide;
    return result;
}

#define DEVICE_TEXT(symbol, key) \
    int symbol(const Device *device, char *out, u32 size) { ENTER(out); return text(of(device, key), out, size); }
#define DEVICE_U32(symbol, key) \
    int symbol(const Device *device, u32 *out) { ENTER(out); return number32(of(device, key), 0, out); }
#define DEVICE_U64(symbol, key) \
    int symbol(const Device *device, u64 *out) { ENTER(out); return number(of(device, key), 0, out); }
#define DEVICE_TWO(symbol, key) \
    int symbol(const Device *device, u32 *a, u32 *b) \
    { \
        ENTER(a && b ? a : NULL); \
        int result = number32(of(device, key), 0, a); \
        return result ? result : number32(of(device, key), 1, b); \
    }
#define DEVICE_CHOICE(symbol, key) \
    int symbol(const Device *device, u32 choice, u32 *out) \
    { ENTER(out); return number32(of(device, key), (int)choice, out); }
#define SYSTEM_TEXT(symbol, key) \
    int symbol(char *out, u32 size) { ENTER_SYSTEM(out); return text(find(key), out, size); }
#define SYSTEM_U32(symbol, key) int symbol(u32 *out) { ENTER_SYSTEM(out); return number32(find(key), 0, out); }

/* ---- library and system ---- */

int nvmlInitWithFlags(u32 flags)
{
    (void)flags;
    int result = fault(__func__, -1);
    if (result) return result;
    for (int gpu = 0; gpu < MOST_GPUS; gpu++)
        for (int slot = 0; slot <= MOST_MIG; slot++) devices[gpu][slot] = (Device){gpu, slot - 1};
    initialised = 1;
    return SUCCESS;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void)
{
    int result = fault(__func__, -1);
    if (!result) initialised = 0;
    return result;
}

const char *nvmlErrorString(int code)
{
    static char sentence[32];
    snprintf(sentence, sizeof sentence, "fake NVML error %d", code);
    return sentence;
}

SYSTEM_TEXT(nvmlSystemGetDriverVersion, "system.driver_version")
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, "system.nvml_version")
SYSTEM_U32(nvmlSystemGetCudaDriverVersion, "system.cuda_version")
SYSTEM_U32(nvmlSystemGetCudaDriverVersion_v2, "system.cuda_version")
SYSTEM_U32(nvmlDeviceGetCount_v2, "count")

int nvmlSystemGetConfComputeState(c_nvmlConfComputeSystemState_t *out)
{
    ENTER_SYSTEM(out);
    memset(out, 0, sizeof *out);
    return number32(find("system.confidential_computing"), 0, &out->ccFeature);
}

SYSTEM_U32(nvmlSystemGetConfComputeGpusReadyState, "system.confidential_ready")

/* ---- handles ---- */

int nvmlDeviceGetHandleByIndex_v2(u32 index, const Device **out)
{
    u32 count = 0;
    ENTER_SYSTEM(out);
    number32(find("count"), 0, &count);
    if (index >= count || index >= MOST_GPUS) return INVALID_ARGUMENT;
    int result = fault(__func__, (int)index);
    if (!result) *out = &devices[index][0];
    return result;
}

DEVICE_U32(nvmlDeviceGetMaxMigDeviceCount, "max_mig_devices")
DEVICE_U32(nvmlDeviceGetGpuInstanceId, "gpu_instance")
DEVICE_U32(nvmlDeviceGetComputeInstanceId, "compute_instance")

int nvmlDeviceGetMigDeviceHandleByIndex(const Device *device, u32 index, const Device **out)
{
    ENTER(out);
    if (index >= MOST_MIG) return INVALID_ARGUMENT;
    if (!of(&devices[device->gpu][1 + index], "uuid")) return NOT_FOUND;
    *out = &devices[device->gpu][1 + index];
    return SUCCESS;
}

/* ---- identity ---- */

DEVICE_TEXT(nvmlDeviceGetName, "name")
DEVICE_TEXT(nvmlDeviceGetUUID, "uuid")
DEVICE_TEXT(nvmlDeviceGetSerial, "serial")
DEVICE_TEXT(nvmlDeviceGetVbiosVersion, "vbios")
DEVICE_TEXT(nvmlDeviceGetBoardPartNumber, "board_part")
DEVICE_U32(nvmlDeviceGetBrand, "brand")
DEVICE_U32(nvmlDeviceGetArchitecture, "architecture")
DEVICE_TWO(nvmlDeviceGetCudaComputeCapability, "compute_capability")
DEVICE_U32(nvmlDeviceGetMinorNumber, "minor")
DEVICE_U32(nvmlDeviceGetNumaNodeId, "numa_node")

int nvmlDeviceGetGspFirmwareVersion(const Device *device, char *out)
{
    ENTER(out);
    return text(of(device, "gsp_firmware"), out, 64);
}

int nvmlDeviceGetPciInfo_v3(const Device *device, nvmlPciInfo_t *out)
{
    ENTER(out);
    const char *bus_id = of(device, "pci_bus_id");
    if (!bus_id) return NOT_SUPPORTED;
    memset(out, 0, sizeof *out);
    sscanf(bus_id, "%x:%x:%x", &out->domain, &out->bus, &out->device);
    snprintf(out->busId, sizeof out->busId, "%s", bus_id);
    snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "%.15s", strlen(bus_id) > 12 ? bus_id + 4 : bus_id);
    number32(of(device, "pci_subsystem_id"), 0, &out->pciSubSystemId);
    return number32(of(device, "pci_device_id"), 0, &out->pciDeviceId);
}

int nvmlDeviceGetCpuAffinity(const Device *device, u32 size, u64 *out)
{
    u64 words[MOST_NUMBERS];
    ENTER(out);
    const char *value = of(device, "cpu_affinity");
    if (!value) return NOT_SUPPORTED;
    int n = numbers(value, words);
    if ((u32)n > size) return INSUFFICIENT_SIZE;
    for (u32 i = 0; i < size; i++) out[i] = i < (u32)n ? words[i] : 0;
    return SUCCESS;
}

/* ---- memory: total, reserved, free, used ---- */

int nvmlDeviceGetMemoryInfo(const Device *device, c_nvmlMemory_t *out)
{
    u64 m[MOST_NUMBERS];
    ENTER(out);
    if (numbers(of(device, "memory"), m) != 4) return NOT_SUPPORTED;
    *out = (c_nvmlMemory_t){.total = m[0], .free = m[2], .used = m[3] + m[1]}; /* version 1 counts reserved as used */
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(const Device *device, c_nvmlMemory_v2_t *out)
{
    u64 m[MOST_NUMBERS];
    ENTER(out);
    if (out->version != VERSION(c_nvmlMemory_v2_t, 2)) return ARGUMENT_VERSION_MISMATCH;
    if (numbers(of(device, "memory"), m) != 4) return NOT_SUPPORTED;
    *out = (c_nvmlMemory_v2_t){out->version, .total = m[0], .reserved = m[1], .free = m[2], .used = m[3]};
    return SUCCESS;
}

int nvmlDeviceGetBAR1MemoryInfo(const Device *device, c_nvmlBAR1Memory_t *out) /* total, used */
{
    u64 m[MOST_NUMBERS];
    ENTER(out);
    if (numbers(of(device, "bar1"), m) != 2) return NOT_SUPPORTED;
    *out = (c_nvmlBAR1Memory_t){.bar1Total = m[0], .bar1Free = m[0] - m[1], .bar1Used = m[1]};
    return SUCCESS;
}

/* ---- activity ---- */

int nvmlDeviceGetUtilizationRates(const Device *device, c_nvmlUtilization_t *out)
{
    ENTER(out);
    int result = number32(of(device, "utilization"), 0, &out->gpu);
    return result ? result : number32(of(device, "utilization"), 1, &out->memory);
}

int nvmlDeviceGetTemperatureV(const Device *device, c_nvmlTemperature_v1_t *out)
{
    u32 degrees;
    ENTER(out);
    if (out->version != VERSION(c_nvmlTemperature_v1_t, 1)) return ARGUMENT_VERSION_MISMATCH;
    int result = number32(of(device, "temperature"), (int)out->sensorType, &degrees);
    if (!result) out->temperature = (int)degrees;
    return result;
}

DEVICE_CHOICE(nvmlDeviceGetTemperature, "temperature")
DEVICE_CHOICE(nvmlDeviceGetTemperatureThreshold, "temperature_thresholds") /* shutdown, slowdown, ... */

int nvmlDeviceGetMarginTemperature(const Device *device, c_nvmlMarginTemperature_v1_t *out)
{
    u32 degrees;
    ENTER(out);
    if (out->version != VERSION(c_nvmlMarginTemperature_v1_t, 1)) return ARGUMENT_VERSION_MISMATCH;
    int result = number32(of(device, "margin_temperature"), 0, &degrees);
    if (!result) out->marginTemperature = (int)degrees;
    return result;
}

DEVICE_U32(nvmlDeviceGetPowerUsage, "power_usage")
DEVICE_U32(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
DEVICE_U32(nvmlDeviceGetPowerManagementDefaultLimit, "power_default")
DEVICE_TWO(nvmlDeviceGetPowerManagementLimitConstraints, "power_constraints") /* min, max */
DEVICE_U64(nvmlDeviceGetTotalEnergyConsumption, "energy")
DEVICE_U32(nvmlDeviceGetPerformanceState, "pstate")
DEVICE_CHOICE(nvmlDeviceGetClockInfo, "clocks") /* graphics, sm, memory, video */
DEVICE_CHOICE(nvmlDeviceGetMaxClockInfo, "max_clocks")
DEVICE_U64(nvmlDeviceGetCurrentClocksEventReasons, "throttle_reasons")
DEVICE_U64(nvmlDeviceGetCurrentClocksThrottleReasons, "throttle_reasons")

/* ---- PCIe ---- */

DEVICE_U32(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
DEVICE_U32(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_gen_max")
DEVICE_U32(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
DEVICE_U32(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
DEVICE_U32(nvmlDeviceGetPcieReplayCounter, "pcie_replays")

/* ---- health ---- */

DEVICE_TWO(nvmlDeviceGetEccMode, "ecc_mode")         /* current, pending */
DEVICE_U32(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pending")

int nvmlDeviceGetTotalEccErrors(const Device *device, u32 type, u32 counter, u64 *out)
{
    ENTER(out);
    if (type > 1 || counter > 1) return INVALID_ARGUMENT;
    return number(of(device, counter ? "ecc_aggregate" : "ecc_volatile"), (int)type, out); /* corrected, uncorrected */
}

int nvmlDeviceGetRemappedRows(const Device *device, u32 *correctable, u32 *uncorrectable, u32 *pending, u32 *failure)
{
    u32 *out[] = {correctable, uncorrectable, pending, failure};
    ENTER(correctable);
    for (int i = 0; i < 4; i++) {
        int result = number32(of(device, "remapped_rows"), i, out[i]);
        if (result) return result;
    }
    return SUCCESS;
}

int nvmlDeviceGetRetiredPages(const Device *device, u32 cause, u32 *count, u64 *pages)
{
    u64 all[MOST_NUMBERS];
    ENTER(count);
    const char *value = of(device, cause ? "retired_double" : "retired_single");
    if (!value) return NOT_SUPPORTED;
    u32 n = (u32)numbers(value, all), room = *count;
    *count = n;
    if (n && (!pages || room < n)) return INSUFFICIENT_SIZE;
    for (u32 i = 0; i < n; i++) pages[i] = all[i];
    return SUCCESS;
}

int nvmlDeviceGetRowRemapperHistogram(const Device *device, c_nvmlRowRemapperHistogramValues *out)
{
    u64 banks[MOST_NUMBERS];
    ENTER(out);
    if (numbers(of(device, "remapper_histogram"), banks) != 5) return NOT_SUPPORTED; /* max, high, partial, low, none */
    *out = (c_nvmlRowRemapperHistogramValues){(u32)banks[0], (u32)banks[1], (u32)banks[2], (u32)banks[3], (u32)banks[4]};
    return SUCCESS;
}

int nvmlDeviceGetSramEccErrorStatus(const Device *device, c_nvmlEccSramErrorStatus_v1_t *out)
{
    ENTER(out);
    if (out->version != VERSION(c_nvmlEccSramErrorStatus_v1_t, 1)) return ARGUMENT_VERSION_MISMATCH;
    return number32(of(device, "sram_threshold_exceeded"), 0, &out->bThresholdExceeded);
}

int nvmlDeviceValidateInforom(const Device *device)
{
    u32 valid;
    ENTER(device);
    int result = number32(of(device, "inforom_valid"), 0, &valid);
    return result ? result : valid ? SUCCESS : CORRUPTED_INFOROM;
}

int nvmlDeviceGetFieldValues(const Device *device, int count, c_nvmlFieldValue_t *out)
{
    ENTER(out);
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "field.%u", out[i].fieldId);
        out[i].valueType = 1; /* unsigned int */
        out[i].value = 0;
        out[i].nvmlReturn = (u32)number(of(device, key), 0, &out[i].value);
    }
    return SUCCESS;
}

/* ---- modes ---- */

DEVICE_U32(nvmlDeviceGetComputeMode, "compute_mode")
DEVICE_U32(nvmlDeviceGetPersistenceMode, "persistence")
DEVICE_TWO(nvmlDeviceGetMigMode, "mig_mode")

/* ---- NVLink and fabric ---- */

int nvmlDeviceGetNvLinkState(const Device *device, u32 link, u32 *out)
{
    ENTER(out);
    const char *value = of(device, "nvlinks");
    if (!value) return NOT_SUPPORTED;
    return number32(value, (int)link, out) ? INVALID_ARGUMENT : SUCCESS;
}

int nvmlDeviceGetNvLinkErrorCounter(const Device *device, u32 link, u32 counter, u64 *out)
{
    char key[32];
    ENTER(out);
    snprintf(key, sizeof key, "nvlink_errors.%u", link);
    *out = 0;
    return of(device, key) ? number(of(device, key), (int)counter, out) : SUCCESS;
}

static int fabric(const Device *device, u32 *status, uint8_t *state)
{
    u32 code;
    int result = number32(of(device, "fabric"), 0, &code);
    if (result) return result;
    memset(state, 0xA5, sizeof(u32)); /* nobody promises clean padding */
    *state = (uint8_t)code;
    return number32(of(device, "fabric"), 1, status);
}

int nvmlDeviceGetGpuFabricInfo(const Device *device, Fabric_v1 *out)
{
    ENTER(out);
    return fabric(device, &out->status, &out->state);
}

int nvmlDeviceGetGpuFabricInfoV(const Device *device, Fabric_v2 *out)
{
    ENTER(out);
    int newest = out->version == VERSION(Fabric_v3, 3) && !find("system.fabric_v2_only");
    if (!newest && out->version != VERSION(Fabric_v2, 2)) return ARGUMENT_VERSION_MISMATCH;
    return fabric(device, &out->status, &out->state);
}

/* ---- processes: "pid:bytes", or "pid:-" where the driver does not know ---- */

static int processes(const char *value, u32 *count, c_nvmlProcessInfo_v2_t *out)
{
    u32 n = 0, room = *count;
    for (const char *at = value; at && *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        if (out && n < room) {
            const char *colon = strchr(at, ':'), *bytes = colon ? colon + 1 : "-"; /* "pid:bytes", or a pid alone */
            u64 used = *bytes == '-' ? ~0ULL : strtoull(bytes, NULL, 0);
            out[n] = (c_nvmlProcessInfo_v2_t){(u32)strtoul(at, NULL, 10), used, ~0U, ~0U};
        }
        n++;
    }
    *count = n;
    return n && (!out || room < n) ? INSUFFICIENT_SIZE : SUCCESS;
}

#define PROCESSES(symbol, key) \
    int symbol(const Device *device, u32 *count, c_nvmlProcessInfo_v2_t *out) \
    { ENTER(count); return processes(of(device, key), count, out); }

PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, "compute_processes")
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute_processes")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps_processes")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics_processes")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics_processes")
