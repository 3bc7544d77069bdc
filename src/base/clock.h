/* clock.h: the two clocks, and dates without a time zone. */
#ifndef DF_BASE_CLOCK_H
#define DF_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds that only go forward (CLOCK_MONOTONIC): for deadlines and waits. */
int64_t df_clock_mono_ms(void);

/* Unix milliseconds, UTC: for dates. */
int64_t df_clock_wall_ms(void);

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (years 0001 to 9999). */
int64_t df_days_from_civil(int year, int month, int day);
void df_civil_from_days(int64_t days, int *year, int *month, int *day);

/* Reads "YYYY-MM-DD" (a real date) into days since the epoch. 0, or -1 when it is not one. */
int df_date_parse(const char *text, size_t len, int64_t *days);

/* Reads the two commonest forms of an ISO 8601 time, "YYYY-MM-DDTHH:MM:SSZ" and the same with three digits behind a point,
   into Unix milliseconds. 0, or -1 for every other form: then somebody else must look. */
int df_time_parse(const char *text, size_t len, int64_t *ms);

/* Reads every form of an ISO 8601 time that defendis.time.parse reads. 0, or -1. */
int df_time_read(const char *text, size_t len, int64_t *ms);

/* Writes "YYYY-MM-DDTHH:MM:SSZ", with ".mmm" before the Z when there are milliseconds, and a NUL: years 0001 to 9999.
   Returns the length. */
size_t df_time_format(int64_t ms, char out[32]);

/* Writes "YYYY-MM-DD" and a NUL. */
void df_date_format(int64_t days, char out[11]);

#endif
