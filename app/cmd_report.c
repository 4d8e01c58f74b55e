// lectern report: plan.json to plan.pdf.
#include "app/options.h"
#include "base/json.h"
#include "reports/plan_report.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void print_usage(FILE *f)
{
    fprintf(f, "usage: lectern report [--plan FILE] [--out FILE] [--font-dir DIR]\n\n"
               "Sets a plan as a PDF (A4). The same plan and fonts give the same bytes.\n\n"
               "  --plan FILE     the plan, made by `lectern plan` (plan.json)\n"
               "  --out FILE      the PDF, written whole or not at all (plan.pdf)\n"
               "  --font-dir DIR  look here first for Lato or Carlito, JetBrains Mono and\n"
               "                  DejaVu; LECTERN_FONT_DIR does the same\n"
               "  -h, --help      this text\n\n"
               "SOURCE_DATE_EPOCH sets the PDF's creation date; else it is the plan's start.\n");
}

int cmd_report(int argc, char **argv)
{
    static const struct option options[] = {{"plan", required_argument, NULL, 'p'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"font-dir", required_argument, NULL, 'f'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *plan_path = "plan.json", *out = "plan.pdf";
    struct report_params params = {0};
    struct err e = {0};
    for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        switch (c) {
        case 'p': plan_path = optarg; break;
        case 'o': out = optarg; break;
        case 'f': params.font_dir = optarg; break;
        case 'h': print_usage(stdout); return APP_OK;
        default: return app_bad_option("report", c, argv);
        }
    }
    if (optind < argc) return app_usage("report", "'%s' is one word too many", argv[optind]);
    cJSON *plan = json_load(plan_path, &e);
    if (!plan) return app_fail(&e);
    params.name = plan_path;
    bool ok = report_write(plan, out, &params, &e);
    cJSON_Delete(plan);
    if (!ok) return app_fail(&e);
    printf("%s\n", out);
    return app_flush(&e) ? APP_OK : app_fail(&e);
}
