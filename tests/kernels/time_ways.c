// Times the ways of multiplying that a device has, as the engine does when it chooses (choose.h):
//
//   time_ways [--software] [FORMAT...]     default: every format; --software: also on a software
//   device
//
// Microseconds of [1024, 4096] by one, four and 64 tokens, on the device that LECTERN_DEVICE names
// (default: the best one). "wrong": results are not those of the plain way, or it was refused.
#include "engine/kernels/choose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool wanted(const char *name, int argc, char **argv)
{
    bool named = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], name)) return true;
        named |= argv[i][0] != '-';
    }
    return !named;
}

static bool time_format(struct gpu *gpu, enum weight_format f, struct err *e)
{
    static const char *const classes[N_CLASSES] = {"1", "4", "64"};
    double us[N_CLASSES][N_WAYS];
    if (!measure_ways(gpu, f, us, e)) return false;
    for (uint32_t c = 0; c < N_CLASSES; c++) {
        printf("%-5s %2s tokens", weight_layout(f)->name, classes[c]);
        for (uint32_t w = 0; w < N_WAYS; w++) {
            if (!matmul_can(gpu, f, (enum matmul_class)c, (enum matmul_way)w)) continue;
            printf("   %s ", matmul_way_name((enum matmul_way)w));
            if (isnan(us[c][w]))
                printf("wrong");
            else
                printf("%.1f us", us[c][w]);
        }
        printf("\n");
    }
    return true;
}

int main(int argc, char **argv)
{
    struct gpu gpu;
    struct err e;
    bool software = argc > 1 && !strcmp(argv[1], "--software"), ok = true;
    if (!gpu_create(getenv("LECTERN_DEVICE"), false, &(struct gpu_limits){.as_gpu = software}, &gpu,
                    &e)) {
        printf("%s\n", e.msg);
        return 1;
    }
    printf("%s, %s: integer dot %s, cooperative matrices %s\n", gpu.caps.name, gpu.caps.driver,
           gpu.dot ? "yes" : "no", gpu.coop && KERNELS_HAVE_COOP ? "yes" : "no");
    if (gpu.coop)
        printf("cooperative matrices of %u x %u x %u, subgroups of %u\n", gpu.caps.coop[0],
               gpu.caps.coop[1], gpu.caps.coop[2], gpu.caps.coop_subgroup);
    for (uint32_t f = 0; ok && f < N_WEIGHT_FORMATS; f++)
        if (wanted(weight_layout((enum weight_format)f)->name, argc, argv))
            ok = time_format(&gpu, (enum weight_format)f, &e);
    if (!ok) printf("%s\n", e.msg);
    gpu_destroy(&gpu);
    return !ok;
}
