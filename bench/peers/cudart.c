/* A libcudart.so for the tool that copies between GPUs by it: memory is the host's, every copy succeeds. */
#include <stdlib.h>
#include <string.h>

int cudaGetDeviceCount(int *count)
{
    const char *gpus = getenv("FAKE_CUDA_GPUS");
    *count = gpus ? atoi(gpus) : 0;
    return *count ? 0 : 100; /* cudaErrorNoDevice */
}

int cudaSetDevice(int device) { return device < 0 ? 101 : 0; }
int cudaMalloc(void **out, size_t size) { return (*out = malloc(size)) ? 0 : 2; }
int cudaFree(void *memory) { free(memory); return 0; }
int cudaDeviceSynchronize(void) { return 0; }
int cudaDeviceEnablePeerAccess(int peer, unsigned flags) { return peer < 0 || flags ? 101 : 0; }
const char *cudaGetErrorString(int code) { return code ? "an error of the fake" : "no error"; }

int cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    *can = device != peer;
    return 0;
}

int cudaMemcpy(void *to, const void *from, size_t size, int kind)
{
    (void)kind;
    memcpy(to, from, size);
    return 0;
}
