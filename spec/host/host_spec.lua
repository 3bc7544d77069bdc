local run = require "support.run"

-- A C program that embeds the host and checks one thing after another; it prints the line of the first that does not hold.
local PROGRAM = [[
#include <defendis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(x) do { if (!(x)) { printf("line %d: %s (%s)\n", __LINE__, #x, err.message); exit(1); } } while (0)

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static df_error err;

static int spawn(df_host *host, const char *text, const char *input) {
  df_script script = {.name = "script", .text = text, .input = input, .args = "{\"who\":\"me\"}", .timeout_ms = 5000};
  int job = -1;
  CHECK(df_host_spawn(host, &job, &script, &err) == 0);
  return job;
}

static const char *result(df_host *host, int job) {
  const char *json;
  size_t len;
  CHECK(df_host_result(host, job, &json, &len, &err) == 0);
  CHECK(strlen(json) == len);
  return json;
}

static df_kind failure(df_host *host, int job) {
  const char *json;
  size_t len;
  CHECK(df_host_result(host, job, &json, &len, &err) == -1);
  return err.kind;
}

static void results_and_failures(void) {
  df_host *host;
  CHECK(df_host_open(&host, NULL, &err) == 0);
  int good = spawn(host, "return { input.n, args.who }", "{\"n\":1}");
  CHECK(failure(host, good) == DF_CONFIG); /* it has not run */
  int bad = spawn(host, "error('boom')", NULL), syntax = spawn(host, "x = = 1", NULL), input = spawn(host, "return 1", "{oops");
  df_host_run(host);
  CHECK(strcmp(result(host, good), "[1,\"me\"]") == 0);
  CHECK(failure(host, bad) == DF_SCRIPT && strcmp(err.message, "script:1: boom") == 0);
  CHECK(failure(host, syntax) == DF_SCRIPT);
  CHECK(failure(host, input) == DF_CONFIG);
  CHECK(failure(host, -1) == DF_CONFIG && failure(host, 4) == DF_CONFIG);
  int later = spawn(host, "return 'later'", NULL); /* a host runs more than once; what was before stays */
  df_host_run(host);
  CHECK(strcmp(result(host, later), "\"later\"") == 0 && strcmp(result(host, good), "[1,\"me\"]") == 0);
  df_script nameless = {.text = "return 1"};
  CHECK(df_host_spawn(host, &later, &nameless, &err) == -1 && err.kind == DF_CONFIG);
  df_host_close(host);
  df_host_close(NULL);
}

static void isolation(void) {
  df_host *host;
  CHECK(df_host_open(&host, NULL, &err) == 0);
  int jobs[8];
  for (int i = 0; i < 8; i++) jobs[i] = spawn(host, "x = (x or 0) + 1 string.mine = (string.mine or 0) + 1 return x + string.mine", NULL);
  df_script greedy = {.name = "greedy", .text = "return ('x'):rep(1 << 26)", .memory = 1 << 22};
  df_script busy = {.name = "busy", .text = "while true do end", .instructions = 100000};
  int one, two;
  CHECK(df_host_spawn(host, &one, &greedy, &err) == 0 && df_host_spawn(host, &two, &busy, &err) == 0);
  df_host_run(host);
  for (int i = 0; i < 8; i++) CHECK(strcmp(result(host, jobs[i]), "2") == 0);
  CHECK(failure(host, one) == DF_LIMIT && strcmp(err.message, "the script is over its budget of memory (4096 KiB)") == 0);
  CHECK(failure(host, two) == DF_LIMIT);
  df_host_close(host);
}

static void overlap(const char *url) {
  df_host *host;
  df_host_options options = {.base_url = url};
  CHECK(df_host_open(&host, &options, &err) == 0);
  int jobs[4];
  for (int i = 0; i < 4; i++) jobs[i] = spawn(host, "return require('defendis').client{}:health().status", NULL);
  double start = now();
  df_host_run(host);
  CHECK(now() - start < 1.0 || getenv("DEFENDIS_UNDER") != NULL); /* each waits 300 ms */
  for (int i = 0; i < 4; i++) CHECK(strcmp(result(host, jobs[i]), "\"ok\"") == 0);
  spawn(host, "return require('defendis').client{}:health().status", NULL);
  df_host_close(host); /* with a script that never ran */
}

int main(int argc, char **argv) {
  results_and_failures();
  isolation();
  if (argc > 1) overlap(argv[1]);
  puts("all hold");
  return 0;
}
]]

describe("a host in a C program", function()
  after_each(run.clean)

  it("runs scripts apart from each other, gives their results and failures, and lets their calls overlap", function()
    local build, dir = os.getenv("DEFENDIS_BUILD") or "build", run.folder()
    local sim = run.simulator("--records 100 --latency 300ms")
    finally(sim.stop)
    run.write(dir .. "/host.c", PROGRAM)
    local sanitize = build:find("asan") and "-fsanitize=address,undefined" or ""
    local p = io.popen(("cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror %s -Iinclude %s/host.c %s/libdefendis.a "
      .. "$(pkg-config --libs lua5.4 sqlite3 libmd) -ldl -lm -pthread -o %s/host 2>&1 && DEFENDIS_API_KEY=%s %s %s/host %s 2>&1")
      :format(sanitize, dir, build, dir, sim.api_key, run.under, dir, sim.base_url))
    assert.equal("all hold\n", p:read("a"))
    assert.is_true(p:close())
  end)
end)
