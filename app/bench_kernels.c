// The times of single kernels, of lectern bench --kernels. All are means over the runs.
#include "app/bench.h"

#include <stdio.h>

static double total_s(const struct fit_kernels *k)
{
    double sum = 0;
    for (size_t i = 0; i < k->n; i++)
        sum += k->k[i].seconds;
    return sum;
}

static void head(const struct bench_kernels *b)
{
    const struct fit_kernels *k = &b->k;
    double runs = k->runs, wall = k->wall_s / runs * 1e3, sum = total_s(k) / runs * 1e3;
    if (b->phase == FIT_PREFILL)
        printf("\na prompt of %u tokens", k->n_tokens);
    else if (k->batch > 1)
        printf("\na token of each of %u sequences behind %u positions", k->batch, k->depth);
    else
        printf("\na token behind %u position%s", k->depth, k->depth == 1 ? "" : "s");
    printf(", mean of %u: %.2f ms, of it kernels %.2f\n", k->runs, wall, sum);
    printf("%-24s %-14s %6s %9s %8s %7s %6s\n", "kernel", "reads", "times", "us each", "ms", "GB/s",
           "peak");
}

static void row(const struct engine_kernel *k, double runs, double read_bytes_s)
{
    double n = (double)k->n;
    printf("%-24.24s %-14.14s %6.0f %9.1f %8.3f", k->name, k->use, n / runs, k->seconds / n * 1e6,
           k->seconds / runs * 1e3);
    if (k->bytes > 0 && k->seconds > 0)
        printf(" %7.2f %4.0f %%", k->bytes / k->seconds / 1e9,
               k->bytes / k->seconds / read_bytes_s * 100);
    putchar('\n');
}

void bench_kernels_table(const struct bench_result *t)
{
    for (unsigned i = 0; i < t->n_kernels; i++) {
        head(&t->kernels[i]);
        for (size_t k = 0; k < t->kernels[i].k.n; k++)
            row(&t->kernels[i].k.k[k], t->kernels[i].k.runs, t->read.bytes_s);
    }
    printf("\nTimes of kernels are the device's, one kernel after the other. Weights are named\n"
           "by their first tensor: attn_q may hold attn_k and attn_v, ffn_gate ffn_up. GB/s\n"
           "counts these, once a dispatch. Peak is %.2f GB/s: a matvec over %.0f MiB, the\n"
           "fastest of f32, f16 and q8, which was %s.\n",
           t->read.bytes_s / 1e9, (double)t->read.bytes / 0x1p20, t->read.format);
}

static void pass_json(const struct bench_kernels *b)
{
    const struct fit_kernels *k = &b->k;
    printf("{\"phase\": \"%s\", \"tokens\": %u, \"depth\": %u, \"batch\": %u, ",
           bench_phase(b->phase), k->n_tokens, k->depth, k->batch);
}

static void kernel_json(const struct bench_kernels *b, const struct engine_kernel *k,
                        double read_bytes_s)
{
    double runs = b->k.runs, n = (double)k->n;
    pass_json(b);
    printf("\"kernel\": \"%s\", \"reads\": \"%s\", \"dispatches\": %.0f, \"us\": %.3f, "
           "\"ms\": %.6f, ",
           k->name, k->use, n / runs, k->seconds / n * 1e6, k->seconds / runs * 1e3);
    if (k->bytes > 0 && k->seconds > 0)
        printf("\"bytes\": %.0f, \"gb_s\": %.3f, \"of_peak\": %.4f}", k->bytes / runs,
               k->bytes / k->seconds / 1e9, k->bytes / k->seconds / read_bytes_s);
    else
        printf("\"bytes\": null, \"gb_s\": null, \"of_peak\": null}");
}

void bench_kernels_json(const struct bench_result *t)
{
    printf(",\n \"peak\": {\"gb_s\": %.3f, \"bytes\": %llu, \"format\": \"%s\"},\n \"passes\": [",
           t->read.bytes_s / 1e9, (unsigned long long)t->read.bytes, t->read.format);
    for (unsigned i = 0; i < t->n_kernels; i++) {
        const struct fit_kernels *k = &t->kernels[i].k;
        printf("%s\n    ", i ? "," : "");
        pass_json(&t->kernels[i]);
        printf("\"runs\": %u, \"wall_ms\": %.6f, \"kernels_ms\": %.6f}", k->runs,
               k->wall_s / k->runs * 1e3, total_s(k) / k->runs * 1e3);
    }
    printf("],\n \"kernels\": [");
    for (unsigned i = 0; i < t->n_kernels; i++)
        for (size_t k = 0; k < t->kernels[i].k.n; k++) {
            printf("%s\n    ", i || k ? "," : "");
            kernel_json(&t->kernels[i], &t->kernels[i].k.k[k], t->read.bytes_s);
        }
    printf("]");
}
