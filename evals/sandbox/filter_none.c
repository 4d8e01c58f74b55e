// Built without libseccomp: there is no filter, and so no tier but the unsafe one.
#include "evals/sandbox/internal.h"

bool filter_build(struct filter *out, struct err *e)
{
    *out = (struct filter){0};
    return err_set(e, ERR_UNSUPPORTED,
                   "Lectern was built without libseccomp, and generated programs "
                   "need it: install it and build again");
}

void filter_free(struct filter *f)
{
    *f = (struct filter){0};
}
