// SPDX-License-Identifier: Apache-2.0
// datetime's types. Mirrors Include/datetime.h and the *_repr functions of Modules/_datetimemodule.c.
#include "interp/repr.h"

#include "base/error.h"

static int read_data(struct pyb_repr *r, pyb_addr object, struct pyb_field f, uint8_t *data, size_t n)
{
    if (!pyb_has(f))
        return pyb_fail(r->err, PYB_E_UNSUPPORTED, "layout %s does not say what datetime's objects look like",
                        r->l->name);
    return pyb_read_bytes(r->mem, object + (uint64_t)f.offset, data, n, r->err);
}

int pyb_repr_date(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    uint8_t d[4];
    int rc = read_data(r, object, r->l->date_data, d, sizeof d);
    if (rc == 0)
        pyb_buf_printf(r->out, "%s(%d, %d, %d)", type->name, d[0] << 8 | d[1], d[2], d[3]);
    return rc;
}

// Hour to microsecond; trailing zeros below the minute are left out.
static void add_time(struct pyb_repr *r, const uint8_t *t)
{
    int us = t[3] << 16 | t[4] << 8 | t[5];
    pyb_buf_printf(r->out, "%d, %d", t[0], t[1]);
    if (us)
        pyb_buf_printf(r->out, ", %d, %d", t[2], us);
    else if (t[2])
        pyb_buf_printf(r->out, ", %d", t[2]);
}

static int add_zone(struct pyb_repr *r, pyb_addr object, struct pyb_field has, struct pyb_field zone)
{
    uint64_t aware;
    pyb_addr tzinfo;
    int rc = pyb_field_uint(r->py, object, has, &aware, r->err);
    if (rc || !aware)
        return rc;
    pyb_buf_adds(r->out, ", tzinfo=");
    rc = pyb_repr_ptr(r, object, zone, &tzinfo);
    return rc ? rc : pyb_repr_value(r, tzinfo);
}

static int add_fold(struct pyb_repr *r, pyb_addr object, struct pyb_field fold)
{
    uint64_t folded = 0;
    int rc = pyb_has(fold) ? pyb_field_uint(r->py, object, fold, &folded, r->err) : 0;
    if (rc == 0 && folded)
        pyb_buf_printf(r->out, ", fold=%llu", (unsigned long long)folded);
    return rc;
}

// The fold before the zone; time has them the other way round.
int pyb_repr_datetime(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    uint8_t d[10];
    int rc = read_data(r, object, r->l->datetime_data, d, sizeof d);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "%s(%d, %d, %d, ", type->name, d[0] << 8 | d[1], d[2], d[3]);
    add_time(r, d + 4);
    rc = add_fold(r, object, r->l->datetime_fold);
    if (rc == 0)
        rc = add_zone(r, object, r->l->datetime_hastzinfo, r->l->datetime_tzinfo);
    pyb_buf_addc(r->out, ')');
    return rc;
}

int pyb_repr_time(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    uint8_t d[6];
    int rc = read_data(r, object, r->l->time_data, d, sizeof d);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "%s(", type->name);
    add_time(r, d);
    rc = add_zone(r, object, r->l->time_hastzinfo, r->l->time_tzinfo);
    if (rc == 0)
        rc = add_fold(r, object, r->l->time_fold);
    pyb_buf_addc(r->out, ')');
    return rc;
}

// 3.7 on names the parts that are not zero; before that, what follows the last one that is not zero is left
// out.
int pyb_repr_timedelta(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_layout *l = r->l;
    const struct pyb_field fields[] = {l->timedelta_days, l->timedelta_seconds, l->timedelta_microseconds};
    static const char *const NAMES[] = {"days=", "seconds=", "microseconds="};
    int64_t parts[3];
    for (int i = 0; i < 3; i++) {
        int rc = pyb_repr_int(r, object, fields[i], &parts[i]);
        if (rc)
            return rc;
    }
    const bool named = l->major == 3 && l->minor >= 7;
    int shown = 0, last = parts[2] ? 2 : parts[1] ? 1 : 0;
    pyb_buf_printf(r->out, "%s(", type->name);
    for (int i = 0; i < 3; i++)
        if (named ? parts[i] != 0 : i <= last)
            pyb_buf_printf(r->out, "%s%s%lld", shown++ ? ", " : "", named ? NAMES[i] : "",
                           (long long)parts[i]);
    pyb_buf_adds(r->out, shown ? ")" : "0)");
    return 0;
}

// timezone(timedelta(0)) without a name is the singleton utc.
int pyb_repr_timezone(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_layout *l = r->l;
    pyb_addr offset, name;
    int64_t days = 0, seconds = 0, us = 0;
    int rc = pyb_repr_ptr(r, object, l->timezone_offset, &offset);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, l->timezone_name, &name);
    if (rc == 0)
        rc = pyb_repr_int(r, offset, l->timedelta_days, &days);
    if (rc == 0)
        rc = pyb_repr_int(r, offset, l->timedelta_seconds, &seconds);
    if (rc == 0)
        rc = pyb_repr_int(r, offset, l->timedelta_microseconds, &us);
    if (rc)
        return rc;
    if (!name && !days && !seconds && !us) {
        pyb_buf_printf(r->out, "%s.utc", type->name);
        return 0;
    }
    pyb_buf_printf(r->out, "%s(", type->name);
    rc = pyb_repr_value(r, offset);
    if (rc == 0 && name) {
        pyb_buf_adds(r->out, ", ");
        rc = pyb_repr_value(r, name);
    }
    pyb_buf_addc(r->out, ')');
    return rc;
}
