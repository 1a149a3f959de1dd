/* The event that lttng.c records: which call, its first three arguments, its result. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER shmaudit_bench
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng_provider.h"

#if !defined(LTTNG_PROVIDER_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LTTNG_PROVIDER_H
#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(shmaudit_bench, call,
    LTTNG_UST_TP_ARGS(int, call, long, a, long, b, long, c, long, result),
    LTTNG_UST_TP_FIELDS(
        lttng_ust_field_integer(int, call, call)
        lttng_ust_field_integer(long, a, a)
        lttng_ust_field_integer(long, b, b)
        lttng_ust_field_integer(long, c, c)
        lttng_ust_field_integer(long, result, result)))

#endif
#include <lttng/tracepoint-event.h>
