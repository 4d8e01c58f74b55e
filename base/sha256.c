#include "base/sha256.h"
#include "base/map.h"

#include <openssl/evp.h>

bool sha256_hex(const void *data, size_t size, char out[SHA256_HEX_SIZE], struct err *e)
{
    unsigned char md[32];
    unsigned n = 0;
    if (!EVP_Digest(data ? data : "", size, md, &n, EVP_sha256(), NULL) || n != sizeof md)
        return err_set(e, ERR_INTERNAL, "libcrypto could not compute a SHA-256");
    for (size_t i = 0; i < sizeof md; i++) {
        out[2 * i] = "0123456789abcdef"[md[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
    }
    out[64] = '\0';
    return true;
}

bool sha256_file_hex(const char *path, char out[SHA256_HEX_SIZE], struct err *e)
{
    struct file_map map;
    if (!map_open(path, &map, e)) return false;
    bool ok = sha256_hex(map.data, map.size, out, e);
    map_close(&map);
    return ok;
}
