/* A libcuda.so.1 that answers from a profile and works in the host's memory, for the compute probe's child to load.
 *
 *   cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o FOLDER/libcuda.so.1 tests/fakecuda/fakecuda.c
 *
 * FAKE_CUDA_PROFILE names a file of key=value lines:
 *
 *   count=8                        GPUs. CUDA_VISIBLE_DEVICES picks one, by index or uuid
 *   gpu.uuid= gpu.3.uuid= ...      of every GPU (then the last digits are its index), or of one; also name, pci,
 *                                  capability (two numbers), sms, free (bytes)
 *   mig=1                          what is seen is one MIG device, whatever its name
 *   no_uuids=1                     CUDA_VISIBLE_DEVICES takes indices only
 *   ret.<symbol>[.<gpu>]=999       what a function returns instead; also hang, abort, segv
 *   from.<symbol>=3                ... but only from its third call on
 *   rate.to= rate.from=            bytes a second of the virtual clock; launches take 50 ms on it
 *   flip.to= flip.from= flip.peer= flip.chains= flip.fill=    a bit goes over: of that byte, end or word
 *   once.<flip>=1                  ... only the first time
 *   drop.to= drop.from= drop.peer= drop.launch=2             from the second on nothing is done, and success is said
 *   blind=1                        tally counts no difference
 *   peers=0                        no GPU reaches another's memory
 *   log=...                        what the compiler says of code that it refuses (ret.cuModuleLoadDataEx)
 *
 * The kernels are those of kernels.ptx, written again in C; an access outside of an allocation is error 700.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef u64 CUdeviceptr;

enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201, PEER_ACCESS_UNSUPPORTED = 217, INVALID_PTX = 218, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700,
    PEER_ACCESS_ALREADY_ENABLED = 704,
};
enum { MOST_KEYS = 256, MOST_GPUS = 16, MOST_BLOCKS = 256, MOST_SYMBOLS = 64 };

typedef struct { int gpu, enabled[MOST_GPUS]; } Context;
typedef struct { double at; } Event;
typedef struct { char name[32]; } Function;
typedef struct { u64 start, size; int gpu; } Block;

static struct { char *key, *value; } profile[MOST_KEYS];
static struct { char symbol[48]; int count; } calls[MOST_SYMBOLS];
static int keys, initialised, visible[MOST_GPUS], visibles, blocks;
static Context contexts[MOST_GPUS], *current;
static Block block[MOST_BLOCKS];
static double now_ms;

/* ---- the profile ---- */

static const char *find(const char *key)
{
    static char line[1024];
    if (!keys) {
        const char *path = getenv("FAKE_CUDA_PROFILE");
        FILE *file = path ? fopen(path, "r") : NULL;
        if (!file) {
            fprintf(stderr, "fakecuda: FAKE_CUDA_PROFILE (%s) cannot be read\n", path ? path : "not set");
            exit(2);
        }
        while (keys < MOST_KEYS && fgets(line, sizeof line, file)) {
            char *equals = strchr(line, '=');
            line[strcspn(line, "\n")] = 0;
            if (!equals) continue;
            *equals = 0;
            profile[keys].key = strdup(line);
            profile[keys++].value = strdup(equals + 1);
        }
        fclose(file);
    }
    for (int i = keys; i--;)
        if (!strcmp(profile[i].key, key)) return profile[i].value;
    return NULL;
}

static const char *of(int gpu, const char *key)
{
    char full[96];
    snprintf(full, sizeof full, "gpu.%d.%s", gpu, key);
    const char *value = find(full);
    if (value) return value;
    snprintf(full, sizeof full, "gpu.%s", key);
    return find(full);
}

static u64 number(const char *key, u64 otherwise)
{
    const char *value = find(key);
    return value ? strtoull(value, NULL, 0) : otherwise;
}

static u64 number_of(int gpu, const char *key, u64 otherwise)
{
    const char *value = of(gpu, key);
    return value ? strtoull(value, NULL, 0) : otherwise;
}

static int counted(const char *symbol)
{
    for (int i = 0; i < MOST_SYMBOLS; i++) {
        if (!calls[i].symbol[0]) snprintf(calls[i].symbol, sizeof calls[i].symbol, "%s", symbol);
        if (!strcmp(calls[i].symbol, symbol)) return ++calls[i].count;
    }
    return 0;
}

static int fault(const char *symbol)
{
    char key[4][96];
    int gpu = current ? current->gpu : visibles == 1 ? visible[0] : -1, nth = counted(symbol);
    snprintf(key[0], sizeof key[0], "ret.%s.%d", symbol, gpu);
    snprintf(key[1], sizeof key[1], "ret.%s", symbol);
    snprintf(key[2], sizeof key[2], "from.%s", symbol);
    if ((u64)nth < number(key[2], 1)) return SUCCESS;
    for (int i = 0; i < 2; i++) {
        const char *value = find(key[i]);
        if (!value) continue;
        if (!strcmp(value, "hang")) for (;;) pause();
        if (!strcmp(value, "abort")) abort();
        if (!strcmp(value, "segv")) raise(SIGSEGV);
        return atoi(value);
    }
    return SUCCESS;
}

#define FAULT() do { int r_ = fault(__func__); if (r_) return r_; } while (0)
#define ENTER() do { FAULT(); if (!initialised) return NOT_INITIALIZED; } while (0)
#define IN_CONTEXT() do { ENTER(); if (!current) return INVALID_CONTEXT; } while (0)

/* The place of the bit that goes over, or -1. */
static long flip(const char *what)
{
    char key[64];
    snprintf(key, sizeof key, "flip.%s", what);
    const char *value = find(key);
    if (!value) return -1;
    snprintf(key, sizeof key, "once.%s", what);
    int nth = counted(key);
    return find(key) && nth > 1 ? -1 : atol(value);
}

/* ---- the library and its devices ---- */

static void uuid(int gpu, char out[64])
{
    const char *value = of(gpu, "uuid");
    snprintf(out, 64, "%s", value ? value : "GPU-00000000-0000-0000-0000-000000000000");
    char own[32];
    snprintf(own, sizeof own, "gpu.%d.uuid", gpu);
    if (!find(own) && number("count", 1) > 1) snprintf(out + strlen(out) - 2, 3, "%02d", gpu);
}

int cuInit(u32 flags)
{
    int count = (int)number("count", 1);
    const char *wanted = getenv("CUDA_VISIBLE_DEVICES");
    char name[64];
    visibles = 0;
    for (int gpu = 0; gpu < count && gpu < MOST_GPUS; gpu++) {
        uuid(gpu, name);
        char index[8];
        snprintf(index, sizeof index, "%d", gpu);
        int by_name = wanted && !find("no_uuids") && !strcmp(wanted, name);
        if (!wanted || by_name || !strcmp(wanted, index)) visible[visibles++] = gpu;
    }
    if (wanted && find("mig") && !strncmp(wanted, "MIG-", 4)) visible[0] = 0, visibles = 1;
    FAULT();
    if (flags) return INVALID_VALUE;
    if (!visibles) return NO_DEVICE;
    for (int gpu = 0; gpu < MOST_GPUS; gpu++) contexts[gpu].gpu = gpu;
    initialised = 1;
    return SUCCESS;
}

int cuGetErrorName(int code, const char **out)
{
    static const struct { int code; const char *name; } names[] = {
        {1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {3, "CUDA_ERROR_NOT_INITIALIZED"},
        {34, "CUDA_ERROR_STUB_LIBRARY"}, {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"}, {100, "CUDA_ERROR_NO_DEVICE"},
        {101, "CUDA_ERROR_INVALID_DEVICE"}, {201, "CUDA_ERROR_INVALID_CONTEXT"}, {214, "CUDA_ERROR_ECC_UNCORRECTABLE"},
        {218, "CUDA_ERROR_INVALID_PTX"}, {221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND"},
        {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"}, {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
        {719, "CUDA_ERROR_LAUNCH_FAILED"}, {802, "CUDA_ERROR_SYSTEM_NOT_READY"},
        {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}, {999, "CUDA_ERROR_UNKNOWN"},
    };
    *out = NULL;
    FAULT();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) *out = names[i].name;
    return *out ? SUCCESS : INVALID_VALUE;
}

int cuDeviceGetCount(int *out)
{
    ENTER();
    *out = visibles;
    return SUCCESS;
}

int cuDeviceGet(int *out, int index)
{
    ENTER();
    if (index < 0 || index >= visibles) return INVALID_DEVICE;
    *out = visible[index];
    return SUCCESS;
}

int cuDeviceGetUuid_v2(unsigned char *out, int gpu)
{
    char text[64], *from = text + 4;
    ENTER();
    uuid(gpu, text);
    for (int i = 0; i < 16; i++, from += 2) {
        if (*from == '-') from++;
        u32 byte;
        if (sscanf(from, "%2x", &byte) != 1) return INVALID_DEVICE;
        out[i] = (unsigned char)byte;
    }
    return SUCCESS;
}

int cuDeviceGetName(char *out, int size, int gpu)
{
    ENTER();
    const char *name = of(gpu, "name");
    snprintf(out, (size_t)size, "%s", name ? name : "Fake GPU");
    return SUCCESS;
}

int cuDeviceGetPCIBusId(char *out, int size, int gpu)
{
    ENTER();
    const char *pci = of(gpu, "pci");
    if (pci) snprintf(out, (size_t)size, "%s", pci);
    else snprintf(out, (size_t)size, "0000:%02X:00.0", gpu + 1);
    return SUCCESS;
}

int cuDeviceGetAttribute(int *out, int which, int gpu)
{
    int major = 9, minor = 0;
    ENTER();
    const char *capability = of(gpu, "capability");
    if (capability) sscanf(capability, "%d %d", &major, &minor);
    if (which == 75) *out = major;
    else if (which == 76) *out = minor;
    else if (which == 16) *out = (int)number_of(gpu, "sms", 1);
    else return INVALID_VALUE;
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(Context **out, int gpu)
{
    ENTER();
    if (gpu < 0 || gpu >= MOST_GPUS) return INVALID_DEVICE;
    *out = &contexts[gpu];
    return SUCCESS;
}

int cuCtxSetCurrent(Context *context)
{
    ENTER();
    current = context;
    return SUCCESS;
}

int cuCtxSynchronize(void)
{
    IN_CONTEXT();
    return SUCCESS;
}

/* ---- memory ---- */

static u64 held(int gpu)
{
    u64 total = 0;
    for (int i = 0; i < blocks; i++)
        if (block[i].gpu == gpu) total += block[i].size;
    return total;
}

/* Whether these bytes are one GPU's, or with gpu -1 any one's. */
static int inside(u64 start, u64 size, int gpu)
{
    for (int i = 0; i < blocks; i++)
        if (start >= block[i].start && start + size <= block[i].start + block[i].size)
            return gpu < 0 || block[i].gpu == gpu;
    return 0;
}

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    IN_CONTEXT();
    *total = number_of(current->gpu, "free", 16 << 20);
    *free_bytes = *total - held(current->gpu);
    return SUCCESS;
}

int cuMemAlloc_v2(CUdeviceptr *out, size_t size)
{
    IN_CONTEXT();
    if (!size) return INVALID_VALUE;
    if (blocks == MOST_BLOCKS || held(current->gpu) + size > number_of(current->gpu, "free", 16 << 20))
        return OUT_OF_MEMORY;
    *out = (CUdeviceptr)(uintptr_t)malloc(size);
    block[blocks++] = (Block){*out, size, current->gpu};
    return SUCCESS;
}

int cuMemFree_v2(CUdeviceptr pointer)
{
    IN_CONTEXT();
    for (int i = 0; i < blocks; i++)
        if (block[i].start == pointer) {
            free((void *)(uintptr_t)pointer);
            block[i] = block[--blocks];
            return SUCCESS;
        }
    return INVALID_VALUE;
}

int cuMemHostAlloc(void **out, size_t size, u32 flags)
{
    IN_CONTEXT();
    if (flags || !size) return INVALID_VALUE;
    *out = malloc(size);
    return SUCCESS;
}

static int dropped(const char *what)
{
    char key[64];
    snprintf(key, sizeof key, "drop.%s", what);
    return find(key) && (u64)counted(key) >= number(key, 0);
}

static int copied(void *to, const void *from, size_t size, const char *way)
{
    char key[32];
    long place = flip(way);
    if (!dropped(way)) memcpy(to, from, size);
    if (place >= 0 && (size_t)place < size) ((unsigned char *)to)[place] ^= 0x10;
    snprintf(key, sizeof key, "rate.%s", way);
    now_ms += (double)size * 1000 / (double)number(key, 20000000);
    return SUCCESS;
}

static int to_device(CUdeviceptr to, const void *from, size_t size)
{
    return inside(to, size, current->gpu) ? copied((void *)(uintptr_t)to, from, size, "to") : INVALID_VALUE;
}

static int from_device(void *to, CUdeviceptr from, size_t size)
{
    return inside(from, size, current->gpu) ? copied(to, (void *)(uintptr_t)from, size, "from") : INVALID_VALUE;
}

int cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, void *stream)
{
    IN_CONTEXT();
    return stream ? INVALID_VALUE : to_device(to, from, size);
}

int cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, void *stream)
{
    IN_CONTEXT();
    return stream ? INVALID_VALUE : from_device(to, from, size);
}

int cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size)
{
    IN_CONTEXT();
    return to_device(to, from, size);
}

int cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size)
{
    IN_CONTEXT();
    return from_device(to, from, size);
}

int cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t size)
{
    IN_CONTEXT();
    if (!inside(to, size, current->gpu)) return INVALID_VALUE;
    memset((void *)(uintptr_t)to, value, size);
    return SUCCESS;
}

/* ---- events, on a clock that copies and launches alone put on ---- */

int cuEventCreate(Event **out, u32 flags)
{
    IN_CONTEXT();
    if (flags) return INVALID_VALUE;
    *out = calloc(1, sizeof **out);
    return SUCCESS;
}

int cuEventRecord(Event *event, void *stream)
{
    IN_CONTEXT();
    if (!event || stream) return INVALID_VALUE;
    event->at = now_ms;
    return SUCCESS;
}

int cuEventSynchronize(Event *event)
{
    IN_CONTEXT();
    return event ? SUCCESS : INVALID_VALUE;
}

int cuEventElapsedTime(float *out, Event *start, Event *end)
{
    IN_CONTEXT();
    if (!start || !end) return INVALID_VALUE;
    *out = (float)(end->at - start->at);
    return SUCCESS;
}

/* ---- kernels ---- */

int cuModuleLoadDataEx(char **out, const char *code, u32 count, const int *options, void **values)
{
    int result = fault(__func__);
    const char *said = find("log");
    for (u32 i = 0; i + 1 < count && result && said; i++) /* the log's buffer, then its size */
        if (options[i] == 5 && options[i + 1] == 6) snprintf(values[i], (size_t)(uintptr_t)values[i + 1], "%s", said);
    if (result) return result;
    if (!current) return INVALID_CONTEXT;
    if (strncmp(code, "//", 2) || !strstr(code, "\n.version ")) return INVALID_PTX;
    *out = strdup(code);
    return SUCCESS;
}

int cuModuleGetFunction(Function **out, const char *module, const char *name)
{
    char entry[64];
    IN_CONTEXT();
    snprintf(entry, sizeof entry, ".visible .entry %s(", name);
    if (!strstr(module, entry)) return NOT_FOUND;
    *out = calloc(1, sizeof **out);
    snprintf((*out)->name, sizeof (*out)->name, "%s", name);
    return SUCCESS;
}

#define ARGUMENT(type, place) (*(type *)arguments[place])

static int chains(u32 threads, void **arguments)
{
    u64 *out = (u64 *)(uintptr_t)ARGUMENT(u64, 0), seed = ARGUMENT(u64, 1);
    u32 rounds = ARGUMENT(u32, 2);
    long place = flip("chains");
    if (!inside(ARGUMENT(u64, 0), 16ull * threads, current->gpu)) return ILLEGAL_ADDRESS;
    for (u32 t = 0; t < threads; t++) {
        u64 a = seed + t, b = seed ^ t;
        for (u32 i = 0; i < rounds; i++) {
            a = a * 6364136223846793005u + 1442695040888963407u;
            b ^= b << 13;
            b ^= b >> 7;
            b ^= b << 17;
            if (t == (u32)place && place >= 0 && i == rounds / 2) a ^= 1ull << 40;
        }
        out[2 * t] = a;
        out[2 * t + 1] = b;
    }
    return SUCCESS;
}

static int fill(void **arguments)
{
    u64 *array = (u64 *)(uintptr_t)ARGUMENT(u64, 0), words = ARGUMENT(u64, 1);
    long place = flip("fill");
    if (!inside(ARGUMENT(u64, 0), 8 * words, current->gpu)) return ILLEGAL_ADDRESS;
    for (u64 i = 0; i < words; i++) array[i] = ARGUMENT(u64, 2) + i * ARGUMENT(u64, 3);
    if (place >= 0 && (u64)place < words) array[place] ^= 1ull << 17;
    return SUCCESS;
}

static int tally(u32 threads, void **arguments)
{
    u64 *array = (u64 *)(uintptr_t)ARGUMENT(u64, 0), words = ARGUMENT(u64, 1);
    u64 *out = (u64 *)(uintptr_t)ARGUMENT(u64, 4);
    if (!inside(ARGUMENT(u64, 0), 8 * words, current->gpu)) return ILLEGAL_ADDRESS;
    if (!inside(ARGUMENT(u64, 4), 16ull * threads, current->gpu)) return ILLEGAL_ADDRESS;
    for (u32 t = 0; t < threads; t++) {
        u64 wrong = 0, sum = 0;
        for (u64 i = t; i < words; i += threads) {
            u64 place = words - 1 - i;
            wrong += array[place] != ARGUMENT(u64, 2) + place * ARGUMENT(u64, 3);
            sum += array[place];
        }
        out[2 * t] = find("blind") ? 0 : wrong;
        out[2 * t + 1] = sum;
    }
    return SUCCESS;
}

int cuLaunchKernel(Function *function, u32 gx, u32 gy, u32 gz, u32 bx, u32 by, u32 bz, u32 shared, void *stream,
                   void **arguments, void **extra)
{
    u32 threads = gx * bx;
    IN_CONTEXT();
    if (gy != 1 || gz != 1 || by != 1 || bz != 1 || shared || stream || extra) return INVALID_VALUE;
    now_ms += 50;
    if (dropped("launch")) return SUCCESS;
    if (!strcmp(function->name, "chains")) return chains(threads, arguments);
    return strcmp(function->name, "fill") ? tally(threads, arguments) : fill(arguments);
}

/* ---- peers ---- */

int cuDeviceCanAccessPeer(int *out, int gpu, int other)
{
    ENTER();
    *out = gpu != other && number("peers", 1);
    return SUCCESS;
}

int cuCtxEnablePeerAccess(Context *other, u32 flags)
{
    IN_CONTEXT();
    if (flags || !number("peers", 1)) return PEER_ACCESS_UNSUPPORTED;
    if (current->enabled[other->gpu]++) return PEER_ACCESS_ALREADY_ENABLED;
    return SUCCESS;
}

int cuMemcpyPeer(CUdeviceptr to, Context *target, CUdeviceptr from, Context *source, size_t size)
{
    IN_CONTEXT();
    if (!inside(to, size, target->gpu) || !inside(from, size, source->gpu)) return INVALID_VALUE;
    return copied((void *)(uintptr_t)to, (void *)(uintptr_t)from, size, "peer");
}
