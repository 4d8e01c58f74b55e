// The hardware profile: what this machine is, what was measured on it, what fits. README.md
// describes the document.
#ifndef LECTERN_PROFILE_H
#define LECTERN_PROFILE_H

#include "base/json.h"
#include "engine/engine.h"
#include "fit/speed.h"

struct fit_host {
    char os[96], cpu[96];
    uint32_t cores;                          // that this process may use
    uint64_t ram_bytes, ram_available_bytes; // bounded by a container's limit
    uint64_t disk_free_bytes;                // where `dir` lies
};
void fit_host(const char *dir, struct fit_host *out); // what cannot be found out is 0 or "unknown"

// hardware.json. Takes about ten seconds on a slow device. Caller frees with cJSON_Delete.
bool fit_profile(struct engine *g, const char *model_path, struct progress *p, cJSON **hardware,
                 struct err *e);

// One device, and all of them, as in hardware.json.
cJSON *fit_device_json(const struct engine_device *d); // NULL: out of memory
bool fit_devices_json(cJSON **out, struct err *e);
// "1.3.230" of a packed API version.
void fit_version(uint32_t v, char out[32]);

#endif
