-- api_spec.lua: the client for C programs: include/defendis.h without its host.
local cjson = require "cjson"
local run = require "support.run"
local scripted = require "support.scripted"

local build = os.getenv("DEFENDIS_BUILD") or "build"
local SANITIZE = build:find("asan") and "-fsanitize=address,undefined" or ""

-- What is printed by a command that ends with `code`.
local function shell(command, code)
  local p = io.popen(("(%s) 2>&1"):format(command))
  local text = p:read("a")
  local _, _, ended = p:close()
  assert(ended == (code or 0), ("exit code %d: %s\n%s"):format(ended, command, text))
  return text
end

local function compile(source, out)
  shell(("cc -std=c11 -Wall -Wextra -Wpedantic -Werror %s -g -Iinclude %s %s/libdefendis.a $(pkg-config --libs lua5.4 sqlite3 libmd) "
    .. "-ldl -lm -pthread -o %s"):format(SANITIZE, source, build, out))
  return out
end

-- Checks one thing after another; prints the line of the first that does not hold.
local PROGRAM = [[
#include <defendis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x) do { if (!(x)) { printf("line %d: %s (%s)\n", __LINE__, #x, err.message); exit(1); } } while (0)
static df_error err;

static int has(const df_api_answer *a, const char *text) {
  char *copy = strndup(a->body, a->body_len);
  int found = strstr(copy, text) != NULL;
  free(copy);
  return found;
}

static void calls(df_api *api) {
  df_api_answer a;
  df_api_request r = {.path = "/health", .no_key = 1};
  CHECK(df_api_call(api, &a, &r, &err) == 0);
  CHECK(a.status == 200 && a.attempts == 1 && a.elapsed_ms >= 0 && a.request_id[0] != '\0' && has(&a, "\"ok\""));
  df_api_answer_free(&a);
  df_api_answer_free(&a);
  df_api_param domain = {"domain", "acme.example"}, other = {"domain", "elsewhere.example"};
  r = (df_api_request){.path = "/api/v1/dataleaks/stats", .params = &domain, .param_count = 1};
  CHECK(df_api_call(api, &a, &r, &err) == 0 && has(&a, "\"credentials\":70"));
  df_api_answer_free(&a);
  r.params = &other;
  CHECK(df_api_call(api, &a, &r, &err) == -1 && err.kind == DF_SCOPE && err.status == 403 && a.status == 403 && has(&a, "permission"));
  CHECK(strcmp(a.request_id, err.request_id) == 0 && !err.retryable);
  df_api_answer_free(&a);
  CHECK(df_api_call(api, &a, &r, NULL) == -1); /* who does not want to know why */
  df_api_answer_free(&a);
  r = (df_api_request){.method = "POST", .path = "/api/v1/watchlists/create", .body = "{\"name\":\"from C\"} and more", .body_len = 17};
  CHECK(df_api_call(api, &a, &r, &err) == 0 && a.status == 201 && has(&a, "from C"));
  df_api_answer_free(&a);
  r = (df_api_request){.method = "POST", .path = "/api/v1/watchlists/delete", .body = "{\"ids\":[\"nobody\"]}"};
  CHECK(df_api_call(api, &a, &r, &err) == 0 && has(&a, "{\"count\":0}"));
  df_api_answer_free(&a);
  static const char *const bad[] = {"//evil.example/x", "https://evil.example/", "/../x", "/a\r\nX: y", NULL};
  for (int i = 0; i < 5; i++) {
    r = (df_api_request){.path = bad[i]};
    CHECK(df_api_call(api, &a, &r, &err) == -1 && (err.kind == DF_INVALID || err.kind == DF_CONFIG) && a.status == 0 && a.body_len == 0);
    df_api_answer_free(&a);
  }
  df_api_param nameless = {NULL, "x"};
  r = (df_api_request){.path = "/health", .params = &nameless, .param_count = 1};
  CHECK(df_api_call(api, &a, &r, &err) == -1 && err.kind == DF_CONFIG);
  r = (df_api_request){.method = "FROB", .path = "/health"};
  CHECK(df_api_call(api, &a, &r, &err) == -1 && err.kind == DF_INVALID);
}

static void lists(df_api *api) {
  df_api_list *list;
  size_t len, total = 0, pages = 0;
  const char *json;
  char size[] = "30", domain[] = "acme.example";
  df_api_param params[] = {{"domain", domain}, {"pageSize", size}};
  CHECK(df_api_list_open(&list, api, "/api/v1/dataleaks/credentials", params, 2, &err) == 0);
  memset(domain, 'x', 4); /* all is copied */
  CHECK(df_api_list_text(list, &len) == NULL && len == 0 && df_api_list_count(list) == 0 && df_api_list_total(list) == -1);
  int more;
  while ((more = df_api_list_next(list, &err)) == 1) {
    pages++;
    CHECK(df_api_list_text(list, &len)[0] == '{' && df_api_list_text(list, &len)[len - 1] == '}' && df_api_list_total(list) == 70);
    CHECK(df_api_list_request_id(list)[0] != '\0');
    for (size_t i = 0; i < df_api_list_count(list); i++, total++)
      CHECK(df_api_list_record(list, i, &json, &len, &err) == 0 && json[0] == '{' && json[len - 1] == '}');
    CHECK(df_api_list_record(list, df_api_list_count(list), &json, &len, &err) == -1 && err.kind == DF_CONFIG);
  }
  CHECK(more == 0 && pages == 3 && total == 70);
  CHECK(df_api_list_next(list, &err) == 0 && df_api_list_text(list, &len) == NULL);
  df_api_list_close(list);
  df_api_list_close(NULL);
  CHECK(df_api_list_open(&list, api, "/api/v1/dataleaks/documents", NULL, 0, &err) == 0);
  CHECK(df_api_list_next(list, &err) == -1 && err.kind == DF_INVALID && err.status == 400);
  df_api_list_close(list);
  df_api_param page = {"page", "2"}, none = {"pageSize", "0"};
  CHECK(df_api_list_open(&list, api, "/x", &page, 1, &err) == -1 && err.kind == DF_CONFIG);
  CHECK(df_api_list_open(&list, api, "/x", &none, 1, &err) == -1 && err.kind == DF_CONFIG);
  CHECK(df_api_list_open(&list, api, NULL, NULL, 0, &err) == -1 && err.kind == DF_CONFIG);
}

int main(int argc, char **argv) {
  df_api *api;
  df_api_answer a;
  df_api_request r = {.path = "/api/v1/watchlists"};
  if (argc < 3) return 1;
  df_api_options options = {.base_url = argv[1], .api_key = argv[2], .timeout_ms = 20000};
  CHECK(df_api_open(&api, &options, &err) == 0);
  calls(api);
  lists(api);
  df_api_close(api);
  df_api_close(NULL);
  options.api_key = "wrong-0123456789";
  CHECK(df_api_open(&api, &options, &err) == 0);
  CHECK(df_api_call(api, &a, &r, &err) == -1 && err.kind == DF_AUTH && err.status == 401);
  df_api_answer_free(&a);
  df_api_close(api);
  options.api_key = NULL; /* and none in the environment */
  CHECK(df_api_open(&api, &options, &err) == 0);
  CHECK(df_api_call(api, &a, &r, &err) == -1 && err.kind == DF_CONFIG && strstr(err.message, "no API key") != NULL);
  df_api_close(api);
  options.base_url = "http://api.example";
  CHECK(df_api_open(&api, &options, &err) == -1 && err.kind == DF_CONFIG);
  puts("all hold");
  return 0;
}
]]

describe("the client for C programs", function()
  local sim, folder
  setup(function()
    sim, folder = run.simulator("--records 100"), run.folder()
    run.write(folder .. "/client.c", PROGRAM)
    compile("-D_GNU_SOURCE " .. folder .. "/client.c", folder .. "/client")
    compile("examples/pull.c", folder .. "/pull")
  end)
  teardown(function()
    sim.stop()
    run.clean()
  end)

  -- A program of ours, with nothing of the caller's settings.
  local function started(name, arguments, env)
    local words = { "env -u DEFENDIS_API_KEY -u DEFENDIS_API_KEY_FILE -u DEFENDIS_BASE_URL -u CREDENTIALS_DIRECTORY" }
    for k, v in pairs(env or {}) do words[#words + 1] = k .. "=" .. run.quote(v) end
    return ("%s %s %s/%s %s"):format(table.concat(words, " "), run.under, folder, name, arguments)
  end

  it("has a header that compiles alone, as C11 and as C++, without a warning", function()
    run.write(folder .. "/alone.c", "#include <defendis.h>\n")
    shell(("cc -std=c11 -Wall -Wextra -Wpedantic -Wstrict-prototypes -Werror -Iinclude -c %s/alone.c -o %s/alone.o"):format(folder, folder))
    if not os.execute("command -v c++ >/dev/null") then return pending("there is no C++ compiler") end
    shell(("c++ -std=c++11 -x c++ -Wall -Wextra -Wpedantic -Werror -Iinclude -c %s/alone.c -o %s/alone.o"):format(folder, folder))
  end)

  it("calls, walks lists, and says what failed and why", function()
    assert.equal("all hold\n", shell(started("client", sim.base_url .. " " .. sim.api_key)))
  end)

  it("leaves no byte behind", function()
    if run.under ~= "" or build:find("asan") or not os.execute("command -v valgrind >/dev/null") then
      return pending("no valgrind here, or all runs under something like it")
    end
    local text = shell(("valgrind -q --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect "
      .. "--error-exitcode=9 --suppressions=spec/support/valgrind.supp %s/client %s %s"):format(folder, sim.base_url, sim.api_key))
    assert.equal("all hold\n", text)
  end)

  it("runs no Lua: its library's client needs nothing of it", function()
    local names = shell(("nm -u %s/src/host/api.o"):format(build))
    assert.is_nil(names:find("lua", 1, true), names)
    assert.is_truthy(names:find("df_local_new", 1, true))
  end)

  it("has an example that prints a list as it came, and whether it is whole", function()
    local env = { DEFENDIS_BASE_URL = sim.base_url, DEFENDIS_API_KEY = sim.api_key }
    local out = shell(started("pull", "/api/v1/dataleaks/documents domain=acme.example fromDate=2026-01-01 2>/dev/null", env))
    local n = 0
    for line in out:gmatch("[^\n]+") do
      assert.equal("acme.example", cjson.decode(line).domain)
      n = n + 1
    end
    assert.is_true(n > 0)
    assert.equal(n .. " records, the list is whole\n", (shell(started("pull",
      "/api/v1/dataleaks/documents domain=acme.example fromDate=2026-01-01", env) .. " 2>&1 >/dev/null")))
    assert.matches("^scope: .*%(403%)", shell(started("pull", "/api/v1/dataleaks/documents domain=not.example", env), 3))
    assert.matches("^usage: ", shell(started("pull", ""), 2))
  end)

  local servers = {}
  after_each(function()
    for _, api in ipairs(servers) do api.stop() end
    servers = {}
  end)

  -- What pull prints of a list that a test writes.
  local function pulled(handler, code)
    local api = scripted.start(handler)
    servers[#servers + 1] = api
    return shell(started("pull", "/api/v1/dataleaks/documents domain=a.example pageSize=2", api.env), code), api
  end

  it("keeps unknown fields, long numbers and the order of what the server sent", function()
    local records = { '{"z":1, "id":"a","brand new":{"n":184467440737095516150}}', '{"id":"b","e":1.50e3}', '{"id":"c","t":"\\u00e9"}' }
    local text = pulled(("local all = { %q, %q, %q } return function(req) return list(req, all) end"):format(table.unpack(records)))
    assert.equal("3 records, the list is whole\n" .. table.concat(records, "\n") .. "\n", text)
  end)

  it("gives the records beside a damaged one, and then is not done", function()
    local text = pulled([[return function(req) return list(req, { '{"id":"a"}', '{"id":b}' }) end]], 6)
    assert.matches('\n{"id":"a"}\n$', text)
    assert.matches("^record 1: ", text)
  end)

  it("asks again for a page that contradicts the ones before, and never ends a list short", function()
    local text, api = pulled([[local all = { '{"id":"a"}', '{"id":"b"}', '{"id":"c"}' }
      return function(req, n) return list(req, all, n == 2 and { currentPage = 1 } or nil) end]])
    assert.matches("^3 records, the list is whole\n", text)
    assert.equal(3, #api.log())
    text, api = pulled([[local all = { '{"id":"a"}', '{"id":"b"}', '{"id":"c"}' }
      return function(req, n) return list(req, all, n > 1 and { totalRecords = 4 } or nil) end]], 6)
    assert.matches("^incomplete: totals changed", text)
    assert.equal(6, #api.log())
  end)
end)
